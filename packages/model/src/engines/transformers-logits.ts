/**
 * Logits as the model gives them, with transformers.js on ONNX Runtime: of every token, of every token as the two ends of
 * an answer, or of a whole sequence. What they mean is the task's matter. An item may have many sequences; those of a batch
 * share forward passes.
 */
import type { CreateEngine, EncodedItem, LogitsOf, Sequence } from '../engine.js'
import type { PaddedBatch } from '../padded-batch.js'
import { cutInPasses } from '../sequence-passes.js'
import type { WantedOutput } from './encoder-session.js'
import { feedTexts } from './feed-texts.js'
import { type Reading, SessionEngine } from './session-engine.js'

const wanted: Readonly<Record<LogitsOf, WantedOutput>> = {
  tokens: { outputs: ['logits'] },
  ends: { outputs: ['start_logits'], beside: 'end_logits' },
  sequence: { outputs: ['logits'] },
}

export const createEngine: CreateEngine = (spec) => {
  const { output, padTokenId } = spec
  if (output.kind !== 'logits') throw new Error('An engine of logits has to be told whose')
  const passes = new SessionEngine(spec, feedTexts, {
    wanted: wanted[output.of],
    probe: { ids: Int32Array.of(padTokenId) },
    made: 'logit',
    read: readerOf(output.of),
  })
  return {
    load: async () => ({ ...(await passes.load()), dimensions: 0 }),
    run: (batch) => runSequences(batch, passes),
    close: () => passes.close(),
  }
}

/** The logits of all sequences of each item, one after the other. */
async function runSequences(
  batch: readonly EncodedItem[],
  passes: SessionEngine<PaddedBatch>,
): Promise<Float32Array[]> {
  const rows = batch.flatMap((item): Sequence[] => [item, ...(item.extra?.more ?? [])])
  const found = new Array<Float32Array>(rows.length)
  for (const places of cutInPasses(rows.map(({ ids }) => ids.length))) {
    const logits = await passes.run(places.flatMap((place) => rows[place] ?? []))
    for (const [i, place] of places.entries()) found[place] = logits[i] ?? Float32Array.of()
  }
  let at = 0
  return batch.map(({ extra }) => {
    const first = at
    at += 1 + (extra?.more?.length ?? 0)
    return joined(found.slice(first, at))
  })
}

function readerOf(of: LogitsOf): Reading<PaddedBatch>['read'] {
  return ({ data, dims, beside }, rows, { dims: [count, width] }) => {
    const shape =
      of === 'tokens' ? [count, width, dims[2]] : of === 'ends' ? [count, width] : [count, dims[1]]
    const fits = dims.length === shape.length && shape.every((size, i) => size === dims[i])
    if (!fits || data.length === 0 || (beside !== undefined && beside.length !== data.length)) {
      throw new Error(
        `The model's logits have the shape [${dims}], which is not one of ${of} (${count} x ${width})`,
      )
    }
    const size = data.length / count
    return rows.map(({ ids }, row) => {
      const real = of === 'sequence' ? size : (size / width) * ids.length
      const own = data.slice(row * size, row * size + real)
      return beside ? joined([own, beside.slice(row * size, row * size + real)]) : own
    })
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
