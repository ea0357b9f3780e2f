/**
 * Logits as the model gives them, with transformers.js on ONNX Runtime: of every token, of every token as the two ends of
 * an answer, or of a whole sequence. What they mean is the task's matter. An item may have many sequences; those of a batch
 * share forward passes. Reads one local folder and never the network.
 */
import type {
  CreateEngine,
  EncodedItem,
  Engine,
  EngineFacts,
  EngineSpec,
  LogitsOf,
  Sequence,
} from '../engine.js'
import { padBatch } from '../padded-batch.js'
import { cutInPasses } from '../sequence-passes.js'
import {
  importTransformers,
  type LoadedSession,
  loadSession,
  type WantedOutput,
} from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersLogits(spec)

const wanted: Readonly<Record<LogitsOf, WantedOutput>> = {
  tokens: { head: 'AutoModelForTokenClassification', outputs: ['logits'] },
  ends: { head: 'AutoModelForQuestionAnswering', outputs: ['start_logits'], beside: 'end_logits' },
  sequence: { head: 'AutoModelForSequenceClassification', outputs: ['logits'] },
}

class TransformersLogits implements Engine {
  readonly #spec: EngineSpec
  #session: LoadedSession | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
  }

  async load(): Promise<EngineFacts> {
    const { output } = this.#spec
    if (output.kind !== 'logits') throw new Error('An engine of logits has to be told whose')
    this.#session = await loadSession(importTransformers(), this.#spec, wanted[output.of])
    // One pass with the pad token: shows that the outputs are of the right shape and pays for first-run allocations now.
    await this.run([{ ids: Int32Array.of(this.#spec.padTokenId) }])
    return { dimensions: 0 }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    const session = this.#session
    if (session === undefined) throw new Error('The engine is not loaded')
    const rows = batch.flatMap((item) => [item, ...(item.extra?.more ?? [])])
    const found = new Array<Float32Array>(rows.length)
    for (const places of cutInPasses(rows.map(({ ids }) => ids.length))) {
      const pass = places.map((place) => rows[place] as Sequence)
      const logits = await this.#pass(session, pass)
      for (const [i, place] of places.entries()) found[place] = logits[i] ?? Float32Array.of()
    }
    let at = 0
    return batch.map(({ extra }) => {
      at += 1 + (extra?.more?.length ?? 0)
      return joined(found.slice(at - 1 - (extra?.more?.length ?? 0), at))
    })
  }

  async #pass(session: LoadedSession, rows: readonly Sequence[]): Promise<Float32Array[]> {
    const { output } = this.#spec
    const of = output.kind === 'logits' ? output.of : undefined
    const padded = padBatch(rows, this.#spec.padTokenId)
    const [count, width] = padded.dims
    const logits = await session.run(padded)
    try {
      const { data, dims, beside } = logits
      const shape =
        of === 'tokens' ? [count, width, dims[2]] : of === 'ends' ? [count, width] : [count, dims[1]]
      const fits = dims.length === shape.length && shape.every((size, i) => size === dims[i])
      if (!fits || data.length === 0 || (beside !== undefined && beside.length !== data.length)) {
        throw new Error(
          `The model's logits have the shape [${dims}], which is not one of ${of} (${count} x ${width})`,
        )
      }
      const size = data.length / count
      const vectors = rows.map(({ ids }, row) => {
        const real = of === 'sequence' ? size : (size / width) * ids.length
        const own = data.slice(row * size, row * size + real)
        return beside ? joined([own, beside.slice(row * size, row * size + real)]) : own
      })
      if (!vectors.every((vector) => vector.every(Number.isFinite))) throw new Error('A logit is not finite')
      return vectors
    } finally {
      logits.dispose()
    }
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.dispose()
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
