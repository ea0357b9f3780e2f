/**
 * What config.json says of a classifier: the names of its labels, and how its logits become scores. The rules are those
 * of transformers (PretrainedConfig, TextClassificationPipeline.postprocess).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Activation } from './activation.js'

const configSchema = z.looseObject({
  id2label: z.record(z.string(), z.string()).nullish(),
  label2id: z.record(z.string(), z.number().int().nonnegative()).nullish(),
  problem_type: z.string().nullish(),
})

export interface ClassificationSettings {
  /** In the order of the logits; undefined where config.json names none. */
  readonly labels: readonly string[] | undefined
  readonly problemType: string | undefined
  /** Each label with its place among the logits, as config.json lists them. */
  readonly places: readonly (readonly [string, number])[]
}

/** @throws Error naming the file that is broken, or whose labels leave a logit without a name */
export async function readClassificationSettings(dir: string): Promise<ClassificationSettings> {
  const file = join(dir, 'config.json')
  let config: z.infer<typeof configSchema>
  try {
    config = configSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    throw new Error(`${file} is broken: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
  const { id2label, label2id, problem_type: problemType } = config
  return {
    labels: id2label ? inOrder(id2label, file) : undefined,
    problemType: problemType ?? undefined,
    places: Object.entries(label2id ?? {}),
  }
}

/** A single logit cannot be a share of 1, so it is scored by itself, like each label of a multi-label model. */
export function activationOf({ problemType, labels }: ClassificationSettings): Activation {
  if (problemType === 'regression') return 'none'
  return problemType === 'multi_label_classification' || labels?.length === 1 ? 'sigmoid' : 'softmax'
}

/** The names of `count` logits. @throws Error when the model has another number of labels */
export function labelsOf({ labels }: ClassificationSettings, count: number, dir: string): string[] {
  // transformers leaves its defaults out of config.json.
  if (labels === undefined) return Array.from({ length: count }, (_, index) => `LABEL_${index}`)
  if (labels.length === count) return [...labels]
  throw new Error(
    `${join(dir, 'config.json')} names ${labels.length} labels; the model gives ${count} scores`,
  )
}

function inOrder(id2label: Record<string, string>, file: string): string[] {
  return Array.from({ length: Object.keys(id2label).length }, (_, index) => {
    const label = id2label[index]
    if (label === undefined) throw new Error(`${file} is broken: id2label has no label ${index}`)
    return label
  })
}
