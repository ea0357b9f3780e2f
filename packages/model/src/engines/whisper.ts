/**
 * Speech on ONNX Runtime by a Whisper model: window by window, each as long as the model's encoder takes, with the decoder
 * writing token by token. Follows `generate` of transformers 4.57 (generation_whisper.py) with greedy decoding. One recording
 * at a time. Reads one local folder and never the network.
 */
import type { InferenceSession } from 'onnxruntime-common'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec, RunHooks } from '../engine.js'
import { likeliest } from '../generation/adjust-logits.js'
import { findGraphs } from '../model-files.js'
import { sineWav } from '../sine-wav.js'
import { cutWindow, packHeard, type Segment } from '../speech/segments.js'
import type { SpeechRule, SpeechWishes } from '../speech/speech-rule.js'
import { adjustTimeLogits } from '../speech/time-logits.js'
import { decodeAudio } from './audio-decoder.js'
import { CachedDecoder } from './cached-decoder.js'
import { type Encoder, encode } from './encoder.js'
import { onnxRuntime, openGraph } from './onnx-runtime.js'
import { resample } from './resample.js'
import { type MakeSpectrogram, openSpectrogram, type Spectrogram, windowOf } from './spectrogram.js'
import { type TokenLoop, writeTokens } from './token-loop.js'

export const createEngine: CreateEngine = (spec) => new Whisper(spec)

interface Loaded {
  readonly encoder: Encoder
  readonly decoder: InferenceSession
  readonly cached: CachedDecoder
  readonly spectrogram: MakeSpectrogram
}

type Fixed = Awaited<ReturnType<typeof encode>>

class Whisper implements Engine {
  readonly #spec: EngineSpec
  readonly #rule: SpeechRule
  #loaded: Loaded | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
    if (spec.output.kind !== 'spoken') throw new Error('A Whisper engine has to be told its tokens')
    this.#rule = spec.output
  }

  async load(): Promise<EngineFacts> {
    const { dir, prepared = dir, dtype, task, device, threads } = this.#spec
    if (device !== 'cpu') throw new Error(`Whisper models run on the CPU only, not on '${device}'`)
    const [first = '', second = ''] = await findGraphs(dir, dtype, task)
    const spectrogram = await openSpectrogram(dir)
    const { Tensor: tensor } = onnxRuntime()
    const encoder = { session: await openGraph(prepared, first, { threads, device }), tensor }
    const decoder = await openGraph(prepared, second, { threads, device })
    const cached = new CachedDecoder({ tensor, session: decoder, firstPosition: 0 })
    this.#loaded = { encoder, decoder, cached, spectrogram }
    // Shows that the graphs fit each other, and pays for first-run allocations now.
    await this.run([{ ids: new Int32Array(), extra: { bytes: sineWav(0.5, 440, this.#rule.rate) } }])
    return { dimensions: 0, oneAtATime: true }
  }

  async run(batch: readonly EncodedItem[], hooks: RunHooks = {}): Promise<Float32Array[]> {
    const heard: Float32Array[] = []
    for (const [place, item] of batch.entries()) heard.push(await this.#hear(item, place, hooks))
    return heard
  }

  async #hear({ extra }: EncodedItem, place: number, { signal, onTokens }: RunHooks): Promise<Float32Array> {
    if (this.#loaded === undefined) throw new Error('The engine is not loaded')
    const { rate, hop, windowFrames } = this.#rule
    const { samples, rate: from } = await decodeAudio(extra?.bytes, this.#maxSeconds)
    const sound = await this.#loaded.spectrogram(resample(samples, from, rate))
    const params = extra?.params ?? {}
    const isLong = samples.length / from > (windowFrames * hop) / rate
    const wishes: SpeechWishes = {
      ...(typeof params.language === 'string' ? { language: params.language } : {}),
      translate: params.translate === true,
      // Where a window ends, its times say where the next one begins.
      timestamps: isLong || params.return_timestamps === true,
    }
    const segments: Segment[] = []
    let languageId: number | undefined
    let told = 0
    for (let start = 0; start < sound.frames && !signal?.aborted; ) {
      const fixed = await this.#encode(sound, start)
      try {
        languageId ??= await this.#languageOf(wishes, fixed)
        const before = told
        // With times, a part may be heard again: it is told by segments, and a step says no more than that it was made.
        const onToken = (at: number, id: number) =>
          wishes.timestamps ? onTokens?.(place, before, []) : onTokens?.(place, at, [id])
        const ids = await this.#write(fixed, languageId, wishes, { signal, onToken })
        const frames = Math.min(windowFrames, sound.frames - start)
        const cut = cutWindow(ids, { start, frames }, this.#rule)
        for (const segment of cut.segments) {
          if (wishes.timestamps) onTokens?.(place, told, segment.ids)
          told += segment.ids.length
          segments.push(segment)
        }
        start += cut.frames
      } finally {
        for (const tensor of Object.values(fixed)) tensor.dispose()
      }
    }
    return packHeard({ ended: signal?.aborted === true, languageId: languageId ?? -1, segments })
  }

  get #maxSeconds(): number {
    return Number(this.#spec.options.maxAudioS ?? Number.POSITIVE_INFINITY)
  }

  async #encode(sound: Spectrogram, start: number): Promise<Fixed> {
    if (this.#loaded === undefined) throw new Error('The engine is not loaded')
    const { windowFrames } = this.#rule
    const data = windowOf(sound, start, windowFrames)
    return encode({ input_features: { data, dims: [1, sound.bands, windowFrames] } }, this.#loaded.encoder)
  }

  /** The token of what is spoken; -1 of a model that knows one language. */
  async #languageOf({ language }: SpeechWishes, fixed: Fixed): Promise<number> {
    const { languages, startId } = this.#rule
    const ids = Object.values(languages)
    if (ids.length === 0) return -1
    const asked = language === undefined ? undefined : languages[language]
    if (asked !== undefined) return asked
    const sequence = this.#begin(fixed)
    try {
      const logits = await sequence.step([startId])
      return ids.reduce((best, id) => ((logits[id] ?? 0) > (logits[best] ?? 0) ? id : best))
    } finally {
      sequence.dispose()
    }
  }

  /** @returns what a window says, without the end token */
  async #write(
    fixed: Fixed,
    languageId: number,
    wishes: SpeechWishes,
    hooks: Pick<TokenLoop, 'signal' | 'onToken'>,
  ): Promise<readonly number[]> {
    const { endIds, maxLength, context } = this.#rule
    const prompt = promptOf(this.#rule, languageId, wishes)
    // Of the limit only the first token of a prompt counts (_set_max_new_tokens_and_length).
    const room = Math.min(maxLength + prompt.length - 1, context) - prompt.length
    const isEnd = (id: number | undefined) => id !== undefined && endIds.includes(id)
    const sequence = this.#begin(fixed)
    try {
      const { ids } = await writeTokens(sequence, {
        prompt,
        next: (logits, held, written) => {
          banSome(logits, this.#rule, { first: written === 0, timestamps: wishes.timestamps })
          if (wishes.timestamps) adjustTimeLogits(logits, held.slice(held.length - written), this.#rule)
          return likeliest(logits)
        },
        ending: (ids) => (isEnd(ids.at(-1)) ? 'stop' : ids.length >= room ? 'length' : undefined),
        ...hooks,
      })
      return isEnd(ids.at(-1)) ? ids.slice(0, -1) : ids
    } finally {
      sequence.dispose()
    }
  }

  #begin(fixed: Fixed) {
    if (this.#loaded === undefined) throw new Error('The engine is not loaded')
    return this.#loaded.cached.begin(fixed)
  }

  async close(): Promise<void> {
    const loaded = this.#loaded
    this.#loaded = undefined
    await loaded?.encoder.session.release()
    await loaded?.decoder.release()
  }
}

/** What a window's text is written after (Whisper, figure 1). */
function promptOf(rule: SpeechRule, languageId: number, { translate, timestamps }: SpeechWishes): number[] {
  const { startId, transcribeId, translateId, noTimestampsId } = rule
  const task = translate ? translateId : transcribeId
  return [
    startId,
    ...(languageId < 0 ? [] : [languageId]),
    ...(languageId < 0 || task === null ? [] : [task]),
    ...(timestamps ? [] : [noTimestampsId]),
  ]
}

function banSome(
  logits: Float32Array,
  { suppressedIds, firstSuppressedIds, firstTimeId }: SpeechRule,
  { first, timestamps }: { first: boolean; timestamps: boolean },
): void {
  for (const id of first ? [...suppressedIds, ...firstSuppressedIds] : suppressedIds) {
    if (id < logits.length) logits[id] = Number.NEGATIVE_INFINITY
  }
  // A model that was told to write none hardly ever does; nobody could read one.
  if (!timestamps) logits.fill(Number.NEGATIVE_INFINITY, firstTimeId)
}
