/** What image tasks share: what an image costs, how it travels, and the images of the self-test. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMediaInput, writeMediaInput } from '@millrace/contracts'
import { z } from 'zod'
import type { EncodedItem } from '../engine.js'
import { gradientPng } from '../gradient-png.js'
import type { ModelInput, ModelTask } from './model-task.js'

const side = z.union([z.number().int().positive(), z.array(z.number().int().positive()).min(1)])
const sizesSchema = z.looseObject({ image_size: side.nullish(), patch_size: side.nullish() })
const configSchema = z.looseObject({
  ...sizesSchema.shape,
  vision_config: sizesSchema.nullish(),
  encoder: sizesSchema.nullish(),
})

/** Of a model that does not say how many patches it makes of an image. */
const defaultTokens = 256

/** An image always costs the same, for it is resized to what the model takes: its patches. @throws Error naming the file */
export async function imageInputs(
  dir: string,
): Promise<Required<Pick<ModelTask, 'maxTokens' | 'probe' | 'encode'>>> {
  const cost = await tokensOfImage(dir)
  return {
    maxTokens: cost,
    probe: (_, place) => probeInput(place),
    encode: ({ input, params, bytes }) => imageItem({ input, params, bytes }, cost),
  }
}

/** Without its bytes: what it weighs, while it waits. */
function imageItem({ input, params, bytes }: Omit<ModelInput, 'truncate'>, cost: number): EncodedItem {
  readMediaInput(input)
  const extra = { ...(params ? { params } : {}), ...(bytes ? { bytes } : {}) }
  return { ids: new Int32Array(), cost, extra }
}

async function tokensOfImage(dir: string): Promise<number> {
  const file = join(dir, 'config.json')
  let config: z.infer<typeof configSchema>
  try {
    config = configSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    throw new Error(`${file} is broken: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
  const { image_size: size, patch_size: patch } = config.vision_config ?? config.encoder ?? config
  if (size == null || patch == null) return defaultTokens
  const [height = 0, width = height] = [size].flat()
  const [patchHeight = 1, patchWidth = patchHeight] = [patch].flat()
  return Math.ceil(height / patchHeight) * Math.ceil(width / patchWidth) + 1
}

function probeInput(place: number): ModelInput {
  const bytes = gradientPng(16 + 4 * place, 40 - 4 * place, place)
  const digest = 'self-test'.padEnd(43, '-')
  return {
    input: writeMediaInput({ kind: 'image', type: 'image/png', bytes: bytes.length, digest }),
    truncate: false,
    bytes,
  }
}
