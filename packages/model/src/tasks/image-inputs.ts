/** What image tasks share: what an image costs, how it travels, and the images of the self-test. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { readMediaInput, writeMediaInput } from '@millrace/contracts'
import { z } from 'zod'
import type { EncodedItem } from '../engine.js'
import type { ModelInput, ModelTask } from './model-task.js'

const side = z.union([z.number().int().positive(), z.array(z.number().int().positive()).min(1)])
const sizesSchema = z.looseObject({ image_size: side.nullish(), patch_size: side.nullish() })
const configSchema = z.looseObject({ ...sizesSchema.shape, vision_config: sizesSchema.nullish() })

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
  const { image_size: size, patch_size: patch } = config.vision_config ?? config
  if (size == null || patch == null) return defaultTokens
  const [height = 0, width = height] = [size].flat()
  const [patchHeight = 1, patchWidth = patchHeight] = [patch].flat()
  return Math.ceil(height / patchHeight) * Math.ceil(width / patchWidth) + 1
}

function probeInput(place: number): ModelInput {
  const bytes = gradientPng(24 + 8 * place, 40 - 4 * place, place)
  const digest = 'self-test'.padEnd(43, '-')
  return {
    input: writeMediaInput({ kind: 'image', type: 'image/png', bytes: bytes.length, digest }),
    truncate: false,
    bytes,
  }
}

/** A PNG (RFC 2083) with a gradient, another one for each seed. */
export function gradientPng(width: number, height: number, seed: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // Eight bits of red, green and blue.
  header.set([8, 2, 0, 0, 0], 8)
  const rows = Buffer.alloc(height * (1 + width * 3))
  for (let y = 0, at = 0; y < height; y++) {
    at += 1
    for (let x = 0; x < width; x++) {
      rows[at++] = (x * 9 + seed * 50) & 255
      rows[at++] = (y * 11 + seed * 90) & 255
      rows[at++] = ((x + y) * 5 * (seed + 1)) & 255
    }
  }
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([
    signature,
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(rows)),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const chunk = Buffer.alloc(body.length + 8)
  chunk.writeUInt32BE(data.length, 0)
  chunk.set(body, 4)
  chunk.writeUInt32BE(crc32(body), body.length + 4)
  return chunk
}

/** By hand: Node 20 has none. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
