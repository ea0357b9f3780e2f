/**
 * Text generation on ONNX Runtime, token by token with keys and values kept: a decoder alone (text-generation) or behind
 * an encoder (summarization and its like). One item at a time: in a batch each text would wait for the longest. The loop
 * is our own, not transformers.js' generate(), because it lets messages through between two steps, tells each token, ends
 * when it is told to, and draws from a seed. Reads one local folder and never the network.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec, RunHooks } from '../engine.js'
import { adjustLogits, likeliest } from '../generation/adjust-logits.js'
import { Sampler } from '../generation/sampler.js'
import { type GenerationRule, type Wishes, wishesOf } from '../generation/wishes.js'
import { type Ending, packWritten } from '../generation/written-tokens.js'
import { findGraphs } from '../model-files.js'
import { CachedDecoder } from './cached-decoder.js'
import { onnxRuntime, openGraph } from './onnx-runtime.js'

export const createEngine: CreateEngine = (spec) => new Generation(spec)

interface Loaded {
  readonly encoder: InferenceSession | undefined
  readonly decoder: InferenceSession
  readonly cached: CachedDecoder
  readonly tensor: TensorConstructor
}

class Generation implements Engine {
  readonly #spec: EngineSpec
  readonly #rule: GenerationRule
  #loaded: Loaded | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
    if (spec.output.kind !== 'generated')
      throw new Error('A generating engine has to be told what ends a text')
    this.#rule = spec.output
  }

  async load(): Promise<EngineFacts> {
    const { dir, dtype, task, device, threads } = this.#spec
    if (device !== 'cpu') throw new Error(`Models for ${task} run on the CPU only, not on '${device}'`)
    const files = await findGraphs(dir, dtype, task)
    const [first = '', second] = files
    const encoder = second === undefined ? undefined : await openGraph(dir, first, { threads, device })
    const decoder = await openGraph(dir, second ?? first, { threads, device })
    const { Tensor: tensor } = onnxRuntime()
    const { firstPosition } = this.#rule
    const cached = new CachedDecoder({ tensor, session: decoder, firstPosition })
    this.#loaded = { encoder, decoder, cached, tensor }
    // One short text shows that the graphs fit each other, and pays for first-run allocations now.
    await this.run([
      { ids: Int32Array.of(this.#rule.endIds[0] ?? 0), extra: { params: { max_new_tokens: 2 } } },
    ])
    return { dimensions: 0, oneAtATime: true }
  }

  async run(batch: readonly EncodedItem[], hooks: RunHooks = {}): Promise<Float32Array[]> {
    const written: Float32Array[] = []
    for (const [place, item] of batch.entries()) written.push(await this.#write(item, place, hooks))
    return written
  }

  async #write(item: EncodedItem, place: number, { signal, onTokens }: RunHooks): Promise<Float32Array> {
    if (this.#loaded === undefined) throw new Error('The engine is not loaded')
    if (signal?.aborted) return packWritten({ ending: 'ended', ids: [] })
    const startedMs = performance.now()
    const { startId } = this.#rule
    const prompt = startId === null ? [...item.ids] : [startId]
    const wishes = wishesOf(item.extra?.params ?? {}, this.#rule, prompt.length)
    const fixed = startId === null ? {} : await encoded(item.ids, this.#loaded)
    const sequence = this.#loaded.cached.begin(fixed)
    try {
      const ids: number[] = []
      // All that the decoder holds; grown, not copied: a text may have many thousand tokens.
      const held = [...prompt]
      const next = chooser(wishes, this.#rule)
      let logits = await sequence.step(prompt)
      for (;;) {
        const id = next(logits, held, ids.length)
        onTokens?.(place, ids.length, [id])
        ids.push(id)
        held.push(id)
        const ending = this.#ending(ids, wishes, startedMs)
        if (ending !== undefined) return packWritten({ ending, ids })
        await nextTurn()
        if (signal?.aborted) return packWritten({ ending: 'ended', ids })
        logits = await sequence.step([id])
      }
    } finally {
      sequence.dispose()
      for (const tensor of Object.values(fixed)) tensor.dispose()
    }
  }

  #ending(ids: readonly number[], wishes: Wishes, startedMs: number): Ending | undefined {
    if (this.#rule.endIds.includes(ids.at(-1) ?? -1)) return 'stop'
    if (ids.length >= wishes.maxNewTokens) return 'length'
    return performance.now() - startedMs >= wishes.maxTimeMs ? 'time' : undefined
  }

  async close(): Promise<void> {
    const loaded = this.#loaded
    this.#loaded = undefined
    await loaded?.encoder?.release()
    await loaded?.decoder.release()
  }
}

/** @returns what takes the next token, from logits, all tokens that are held, and how many of them are new */
function chooser(wishes: Wishes, rule: GenerationRule) {
  const sampler = wishes.sampling === undefined ? undefined : new Sampler(wishes.sampling)
  return (logits: Float32Array, held: readonly number[], written: number): number => {
    adjustLogits(logits, held, written, wishes, rule)
    return sampler === undefined ? likeliest(logits) : sampler.draw(logits)
  }
}

/** What the encoder makes of a text, as the decoder's inputs. */
async function encoded(
  ids: Int32Array,
  { encoder, tensor: OnnxTensor }: Loaded,
): Promise<Record<string, Tensor>> {
  if (encoder === undefined) throw new Error('The model has no encoder')
  const dims = [1, ids.length]
  const inputIds = new OnnxTensor('int64', BigInt64Array.from(ids, BigInt), dims)
  const mask = new OnnxTensor('int64', new BigInt64Array(ids.length).fill(1n), dims)
  const feeds: Record<string, Tensor> = { input_ids: inputIds, attention_mask: mask }
  const wanted = Object.fromEntries(
    Object.entries(feeds).filter(([name]) => encoder.inputNames.includes(name)),
  )
  const { last_hidden_state: states } = (await encoder.run(wanted)) as Record<string, Tensor>
  inputIds.dispose()
  if (states === undefined) throw new Error('The encoder gives no last_hidden_state')
  return { encoder_hidden_states: states, encoder_attention_mask: mask }
}
