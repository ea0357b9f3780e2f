/**
 * The batch size that suits a model on this machine: measured once, then kept in `<dataDir>/batching/<key>.json` for every
 * worker of the host. One worker measures at a time: two at once would measure each other.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { kneeOf, sweepAreas } from './batch-sweep.js'
import { costOf, type EncodedItem } from './engine.js'
import type { LoadedModel } from './load-model.js'
import { oneWriter } from './one-writer.js'
import { cpuTraits, runtimeVersion } from './prepared-key.js'

/** Counts up when another way of measuring makes kept ones worthless. */
const scheme = 'millrace-batching-1'
/** A text of the usual kind: two sentences. */
const itemTokens = 32
const waitMs = 15_000

const measuredSchema = z.object({ area: z.number().int().positive(), tokensPerS: z.number().positive() })

export interface MeasuredBatches {
  /** Padded tokens up to which a larger batch still pays. */
  readonly area: number
  readonly tokensPerS: number
  /** It was measured before, perhaps by another worker. */
  readonly kept: boolean
}

export interface MeasureOptions {
  readonly dataDir: string
  /** Intra-op threads of a model process. */
  readonly threads: number
  readonly maxItems: number
  readonly maxArea: number
  /** About the time that it may take. */
  readonly budgetMs?: number
  /** Milliseconds; for tests. */
  readonly now?: () => number
}

/** @throws Error that says why it cannot be told; nothing is kept then */
export async function measureBatches(model: LoadedModel, options: MeasureOptions): Promise<MeasuredBatches> {
  const folder = resolve(options.dataDir, 'batching')
  const file = join(folder, `${await keyOf(model, options)}.json`)
  const before = await readKept(file)
  if (before !== undefined) return { ...before, kept: true }
  await mkdir(folder, { recursive: true })
  let fresh: Omit<MeasuredBatches, 'kept'> | undefined
  await oneWriter(`${file}.lock`, {
    waitMs,
    done: async () => (await readKept(file)) !== undefined,
    work: async () => {
      fresh = await measure(model, options)
      const written = `${file}.${randomUUID()}.tmp`
      await writeFile(written, `${JSON.stringify(fresh)}\n`)
      await rename(written, file)
    },
  })
  const found = fresh ?? (await readKept(file))
  if (found === undefined) throw new Error(`what was measured could not be kept in ${folder}`)
  return { ...found, kept: fresh === undefined }
}

async function measure(
  model: LoadedModel,
  { maxItems, maxArea, budgetMs = 1500, now = () => performance.now() }: MeasureOptions,
): Promise<Omit<MeasuredBatches, 'kept'>> {
  const item = usualItem(model)
  const run = async (items: number) => {
    const { outcomes } = await model.runBatch(Array.from({ length: items }, () => item))
    for (const outcome of outcomes) if (!outcome.ok) throw new Error(outcome.error.detail)
  }
  const sizes = { itemTokens: costOf(item), maxItems, maxArea, budgetMs }
  const { area, tokensPerS } = kneeOf(await sweepAreas({ ...sizes, run, now }))
  return { area, tokensPerS: Math.round(tokensPerS) }
}

/** The beginning and the last token of a longer text: whatever a task asks of an input is in it. An image is as it is. */
function usualItem(model: LoadedModel): EncodedItem {
  const item = model.probe('The wheel turns the stone, and the stone grinds the corn. '.repeat(4))
  const { ids, typeOneFrom } = item
  if (ids.length <= itemTokens) return item
  const short = Int32Array.of(...ids.subarray(0, itemTokens - 1), ids.at(-1) ?? 0)
  return {
    ...item,
    ids: short,
    ...(item.cost === undefined ? {} : { cost: item.cost - ids.length + short.length }),
    ...(typeOneFrom === undefined ? {} : { typeOneFrom: Math.min(typeOneFrom, itemTokens - 1) }),
  }
}

/** All that makes a pass faster or slower. The version holds the files, the dtype, the engine and the device. */
async function keyOf(
  { facts }: LoadedModel,
  { threads, maxItems, maxArea }: MeasureOptions,
): Promise<string> {
  const machine = [await runtimeVersion(), await cpuTraits(), cpus()[0]?.model ?? '']
  const parts = [scheme, facts.version, facts.device ?? 'cpu', threads, maxItems, maxArea, ...machine]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

async function readKept(file: string): Promise<z.infer<typeof measuredSchema> | undefined> {
  try {
    return measuredSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    return undefined
  }
}
