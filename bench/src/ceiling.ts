/**
 * The ceiling: the same texts through the engine directly, in as many model processes as the fleet has workers. No
 * HTTP, no queue, no cache, no padding that a batcher could avoid: every batch is of one length, or one text.
 */
import type { EncodedItem, LoadedModel } from '@millrace/model'

/**
 * @param texts what each process works through, again and again, until the time is up
 * @param area largest padded token area of a batch, as the fleet's workers have it
 * @param seconds what is done in these counts, after `leadInSeconds` that do not
 */
export async function ceilingThroughput(
  model: LoadedModel,
  texts: readonly string[],
  area: number,
  { seconds, leadInSeconds }: { seconds: number; leadInSeconds: number },
): Promise<number> {
  const items = texts
    .map((text): EncodedItem => model.encode({ input: text, truncate: false }))
    .sort((a, b) => a.ids.length - b.ids.length)
  const batches = cut(items, area)
  const fromMs = performance.now() + leadInSeconds * 1000
  const endMs = fromMs + seconds * 1000
  let done = 0
  let at = 0
  // A stride that visits short and long batches alike, whatever moment the time is up.
  const stride = coprimeStride(batches.length)
  const lane = async () => {
    while (performance.now() < endMs) {
      const batch = batches[at % batches.length] ?? []
      at += stride
      const { outcomes } = await model.runBatch(batch)
      if (outcomes.some(({ ok }) => !ok)) throw new Error('the engine failed an item of the ceiling run')
      const doneMs = performance.now()
      if (doneMs >= fromMs && doneMs <= endMs) done += batch.length
    }
  }
  await Promise.all(Array.from({ length: model.slots }, lane))
  return done / seconds
}

function cut(sorted: readonly EncodedItem[], area: number): EncodedItem[][] {
  const batches: EncodedItem[][] = []
  let batch: EncodedItem[] = []
  for (const item of sorted) {
    // Sorted upwards: the new item is the longest.
    if (batch.length > 0 && item.ids.length * (batch.length + 1) > area) {
      batches.push(batch)
      batch = []
    }
    batch.push(item)
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

function coprimeStride(count: number): number {
  let stride = Math.max(1, Math.floor(count * 0.618))
  while (gcd(stride, count) !== 1) stride += 1
  return stride
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
