/**
 * What a model's own files say of generating with it: config.json and generation_config.json, the second first, as
 * transformers reads them. Knows files only.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GenerationTask } from '@millrace/contracts'
import { z } from 'zod'
import { type GenerationRule, type ModelDefault, modelDefaults } from './wishes.js'

const id = z.number().int().nonnegative()
const ids = z.union([id.transform((one) => [one]), z.array(id)]).nullish()
const limit = z.number().int().positive().nullish()

const settingsSchema = z.looseObject({
  eos_token_id: ids,
  decoder_start_token_id: id.nullish(),
  bos_token_id: ids,
  forced_bos_token_id: ids,
  forced_eos_token_id: ids,
  suppress_tokens: z.array(z.number().int()).nullish(),
  bad_words_ids: z.array(z.array(id)).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  no_repeat_ngram_size: z.number().int().nonnegative().nullish(),
  temperature: z.number().positive().nullish(),
  top_k: z.number().int().nonnegative().nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  max_position_embeddings: limit,
  n_positions: limit,
  model_type: z.string().nullish(),
  prefix: z.string().nullish(),
  task_specific_params: z.record(z.string(), z.looseObject({ prefix: z.string().nullish() })).nullish(),
})
type Settings = z.infer<typeof settingsSchema>
/** Of an encoder and a decoder of different kinds (VisionEncoderDecoderConfig): its limits are those of the decoder. */
const configSchema = settingsSchema.extend({ decoder: settingsSchema.nullish() })

export interface GenerationSettings {
  readonly rule: GenerationRule
  /** Written in front of every text, as the reference's pipelines do. */
  readonly prefix: string
  /** Files beside the usual ones that were read. */
  readonly files: readonly string[]
}

export const generationFile = 'generation_config.json'
/** Their positions begin with 1 (transformers.js, modeling_utils.js). */
const countFromOne = ['paligemma', 'gemma3_text', 'gemma3']

/** @throws Error naming the file that is missing or broken, or the model that nothing ends */
export async function readGenerationSettings(dir: string, task: GenerationTask): Promise<GenerationSettings> {
  const whole = await readSettings(join(dir, 'config.json'), configSchema)
  if (whole === undefined) throw new Error(`The model folder ${dir} lacks config.json`)
  const config: Settings = { ...whole.decoder, ...withoutNulls(whole) }
  const own = await readSettings(join(dir, generationFile), settingsSchema)
  const settings: Settings = { ...config, ...withoutNulls(own ?? {}) }
  const endIds = settings.eos_token_id ?? []
  const context = config.max_position_embeddings ?? config.n_positions ?? Number.MAX_SAFE_INTEGER
  const startId =
    task === 'text-generation' ? null : (settings.decoder_start_token_id ?? settings.bos_token_id?.[0])
  if (startId === undefined) throw new Error(`No file of ${dir} says which token a decoder begins with`)
  return {
    rule: {
      kind: 'generated',
      reads: task === 'image-to-text' ? 'image' : 'tokens',
      endIds,
      context,
      startId,
      forcedFirstId: settings.forced_bos_token_id?.[0] ?? null,
      forcedLastId: settings.forced_eos_token_id?.[0] ?? null,
      suppressedIds: suppressed(settings),
      firstPosition: countFromOne.includes(config.model_type ?? '') ? 1 : 0,
      defaults: defaultsOf(settings),
    },
    prefix: config.task_specific_params?.[task]?.prefix ?? config.prefix ?? '',
    files: own === undefined ? [] : [generationFile],
  }
}

/** Words of one token alone: longer ones would need to be matched as they are written. */
function suppressed({ suppress_tokens, bad_words_ids }: Settings): number[] {
  const single = (bad_words_ids ?? []).flatMap((word) => (word.length === 1 ? word : []))
  return [...(suppress_tokens ?? []).filter((token) => token >= 0), ...single]
}

function defaultsOf(settings: Settings): Partial<Record<ModelDefault, number>> {
  return Object.fromEntries(
    modelDefaults.flatMap((name) => {
      const value = settings[name]
      // 0 switches top_k and no_repeat_ngram_size off.
      return value == null || value === 0 ? [] : [[name, value]]
    }),
  )
}

function withoutNulls(settings: Partial<Settings>): Partial<Settings> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value != null))
}

async function readSettings<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new Error(`${file} is not as expected`, { cause: error })
  }
}
