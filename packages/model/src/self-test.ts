/**
 * Does company change an answer? Dynamically quantised models scale activations over the whole batch, so a text gets
 * another result beside other texts, and a shared cache would freeze whichever came first. Asked at every load.
 */
import type { EncodedItem } from './engine.js'
import type { ProcessPool } from './process-pool.js'
import type { ModelTask } from './tasks/index.js'

/** Above this a model runs one item at a time. Plain rounding stays below 1e-5. */
export const toleratedDifference = 1e-4

const sentence = 'The water of the race turns the wheel, and the wheel turns the stone. '
const probes = [
  'ok',
  'How do I reset my password?',
  sentence,
  sentence.repeat(4),
  '12:30, 5 % & (a+b) ünï 日本',
]

/** Items of this task, of several lengths where it has any. @throws Error, MillraceError where the task cannot make them */
export function probeItems({ probe, encode }: Pick<ModelTask, 'probe' | 'encode'>): EncodedItem[] {
  return probes.map((text, place) => encode(probe(text, place)))
}

/**
 * @returns the largest difference of any value between a probe's result alone and in a batch of all probes
 * @throws Error when a probe cannot be computed
 */
export async function probeDifference(
  pool: ProcessPool,
  task: Pick<ModelTask, 'probe' | 'encode' | 'continuous'>,
): Promise<number> {
  const { continuous = (length) => length } = task
  const items = probeItems(task)
  const together = await vectors(pool, items)
  let difference = 0
  for (const [index, item] of items.entries()) {
    const [alone] = await vectors(pool, [item])
    const compared = continuous(alone?.length ?? 0)
    difference = Math.max(
      difference,
      distance(alone?.subarray(0, compared), together[index]?.subarray(0, compared)),
    )
  }
  return difference
}

async function vectors(pool: ProcessPool, items: readonly EncodedItem[]): Promise<Float32Array[]> {
  const { outcomes } = await pool.run(items)
  return outcomes.map((outcome) => {
    if (outcome.ok) return outcome.vector
    throw new Error(`The self-test of the model failed: ${outcome.error.detail}`)
  })
}

function distance(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (a === undefined || b === undefined || a.length !== b.length) return Number.POSITIVE_INFINITY
  let largest = 0
  for (const [index, value] of a.entries()) {
    const difference = Math.abs(value - (b[index] ?? 0))
    // Not a number is as different as can be.
    largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference)
  }
  return largest
}
