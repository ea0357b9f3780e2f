/**
 * Text generation on ONNX Runtime, token by token with keys and values kept: a decoder alone (text-generation) or behind
 * an encoder (summarization and its like; image-to-text). One item at a time: in a batch each text would wait for the longest. The loop
 * is our own, not transformers.js' generate(), because it lets messages through between two steps, tells each token, ends
 * when it is told to, and draws from a seed. Reads one local folder and never the network.
 */
import type { InferenceSession } from 'onnxruntime-common'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec, RunHooks } from '../engine.js'
import { adjustLogits, likeliest } from '../generation/adjust-logits.js'
import { Sampler } from '../generation/sampler.js'
import { type GenerationRule, type Wishes, wishesOf } from '../generation/wishes.js'
import { type Ending, packWritten, type WrittenTokens } from '../generation/written-tokens.js'
import { findGraphs } from '../model-files.js'
import { CachedDecoder } from './cached-decoder.js'
import { type Encoder, encode } from './encoder.js'
import { feedImages, imageProbe } from './feed-images.js'
import { feedTexts } from './feed-texts.js'
import { onnxRuntime, openGraph } from './onnx-runtime.js'
import type { Feed, OpenFeed } from './session-engine.js'
import { writeTokens } from './token-loop.js'

export const createEngine: CreateEngine = (spec) => new Generation(spec)

interface Loaded {
  /** Absent for a decoder alone. */
  readonly reader: { readonly encoder: Encoder; readonly feed: Feed<unknown> } | undefined
  readonly decoder: InferenceSession
  readonly cached: CachedDecoder
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
    const { dir, prepared = dir, dtype, task, device, threads } = this.#spec
    if (device !== 'cpu') throw new Error(`Models for ${task} run on the CPU only, not on '${device}'`)
    const [first = '', second] = await findGraphs(dir, dtype, task)
    const { Tensor: tensor } = onnxRuntime()
    const reader = second === undefined ? undefined : await this.#openReader(first)
    const decoder = await openGraph(prepared, second ?? first, { threads, device })
    const { firstPosition, reads, endIds } = this.#rule
    const cached = new CachedDecoder({ tensor, session: decoder, firstPosition })
    this.#loaded = { reader, decoder, cached }
    // One short text shows that the graphs fit each other, and pays for first-run allocations now.
    const probe = reads === 'image' ? imageProbe : { ids: Int32Array.of(endIds[0] ?? 0) }
    await this.run([{ ...probe, extra: { ...probe.extra, params: { max_new_tokens: 2 } } }])
    return { dimensions: 0, oneAtATime: true }
  }

  async #openReader(file: string): Promise<Loaded['reader']> {
    const { dir, prepared = dir, threads, device } = this.#spec
    const open: OpenFeed<unknown> = this.#rule.reads === 'image' ? feedImages : feedTexts
    const feed = await open(this.#spec)
    const session = await openGraph(prepared, file, { threads, device })
    return { encoder: { session, tensor: onnxRuntime().Tensor }, feed }
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
    const { reader, cached } = this.#loaded
    const { startId } = this.#rule
    const prompt = startId === null ? [...item.ids] : [startId]
    const wishes = wishesOf(item.extra?.params ?? {}, this.#rule, prompt.length)
    const fixed = reader === undefined ? {} : await encode((await reader.feed([item])).feeds, reader.encoder)
    const sequence = cached.begin(fixed)
    try {
      const written: WrittenTokens = await writeTokens(sequence, {
        prompt,
        next: chooser(wishes, this.#rule),
        ending: (ids) => this.#ending(ids, wishes, startedMs),
        signal,
        onToken: (at, id) => onTokens?.(place, at, [id]),
      })
      return packWritten(written)
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
    await loaded?.reader?.encoder.session.release()
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
