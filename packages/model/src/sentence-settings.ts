/**
 * How sentence-transformers' own files say that token vectors become one vector, so that answers equal the reference
 * library's. A model without these files gets that library's default: the mean, not normalised.
 */
import { readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { z } from 'zod'
import { type Pooling, type PoolingMode, poolingModes } from './engine.js'

const modulesSchema = z.array(
  z.looseObject({ path: z.string().regex(/^(?!\/|.*\.\.)/, 'a path inside the folder'), type: z.string() }),
)

const poolingSchema = z.looseObject({
  pooling_mode: z.union([z.string(), z.array(z.string())]).optional(),
  pooling_mode_cls_token: z.boolean().optional(),
  pooling_mode_max_tokens: z.boolean().optional(),
  pooling_mode_mean_tokens: z.boolean().optional(),
  pooling_mode_mean_sqrt_len_tokens: z.boolean().optional(),
  pooling_mode_weightedmean_tokens: z.boolean().optional(),
  pooling_mode_lasttoken: z.boolean().optional(),
})

export interface SentenceSettings {
  readonly pooling: Pooling
  /** The file that named the pooling, relative to the model folder. */
  readonly poolingFile: string | undefined
}

/**
 * @param fetchMissing called with the pooling file's path before it is read
 * @throws Error naming the file that is broken or asks for something that is not supported
 */
export async function readSentenceSettings(
  dir: string,
  { fetchMissing }: { fetchMissing?: (file: string) => Promise<void> } = {},
): Promise<SentenceSettings> {
  const modules = await readOptional(join(dir, 'modules.json'), modulesSchema)
  if (modules === undefined) return { pooling: { mode: 'mean', normalize: false }, poolingFile: undefined }
  let mode: PoolingMode | undefined
  let poolingFile: string | undefined
  let normalize = false
  for (const { type, path } of modules) {
    const kind = type.split('.').at(-1)
    if (kind === 'Transformer') continue
    if (kind === 'Normalize') normalize = true
    else if (kind === 'Pooling' && mode === undefined) {
      poolingFile = posix.join(path, 'config.json')
      await fetchMissing?.(poolingFile)
      mode = await readMode(join(dir, poolingFile))
    } else throw new Error(`${join(dir, 'modules.json')} asks for ${type}, which is not supported`)
  }
  if (mode === undefined) throw new Error(`${join(dir, 'modules.json')} names no pooling`)
  return { pooling: { mode, normalize }, poolingFile }
}

async function readMode(file: string): Promise<PoolingMode> {
  const config = await readOptional(file, poolingSchema)
  if (config === undefined) throw new Error(`${file} is missing, though modules.json names it`)
  const flags: Record<string, boolean | undefined> = {
    cls: config.pooling_mode_cls_token,
    max: config.pooling_mode_max_tokens,
    mean: config.pooling_mode_mean_tokens,
    mean_sqrt_len: config.pooling_mode_mean_sqrt_len_tokens,
    weightedmean: config.pooling_mode_weightedmean_tokens,
    lasttoken: config.pooling_mode_lasttoken,
  }
  const named = [config.pooling_mode ?? Object.keys(flags).filter((name) => flags[name])].flat()
  const mode = poolingModes.find((known) => known === named[0])
  if (mode !== undefined && named.length === 1) return mode
  throw new Error(
    `${file} asks for the pooling '${named.join(' + ')}'; supported: one of ${poolingModes.join(', ')}`,
  )
}

async function readOptional<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Error(`${file} cannot be read`, { cause: error })
  }
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new Error(`${file} is broken: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}
