/**
 * Speech with transformers.js on ONNX Runtime, for models with a CTC head: the best class of each moment. One recording
 * at a time. Reads one local folder and never the network.
 */
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import { sineWav } from '../tasks/speech-recognition.js'
import { decodeAudio } from './audio-decoder.js'
import { resample } from './resample.js'
import { importTransformers, type LoadedSession, loadSession } from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersSpeech(spec)

class TransformersSpeech implements Engine {
  readonly #spec: EngineSpec
  readonly #maxSeconds: number
  #session: LoadedSession | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
    this.#maxSeconds = Number(spec.options.maxAudioS ?? Number.POSITIVE_INFINITY)
  }

  async load(): Promise<EngineFacts> {
    this.#session = await loadSession(importTransformers(), this.#spec, {
      head: 'AutoModelForCTC',
      outputs: ['logits'],
    })
    // Shows that the model is of this kind, and pays for first-run allocations now.
    await this.run([{ ids: new Int32Array(), extra: { bytes: sineWav(0.5, 440, 16_000) } }])
    return { dimensions: 0 }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    const heard = []
    for (const { extra } of batch) heard.push(await this.#hear(extra?.bytes))
    return heard
  }

  async #hear(bytes: Uint8Array | undefined): Promise<Float32Array> {
    const rule = this.#spec.output
    if (this.#session === undefined) throw new Error('The engine is not loaded')
    if (rule.kind !== 'frames') throw new Error('A speech engine has to be told the rate and the classes')
    const { samples, rate } = await decodeAudio(bytes, this.#maxSeconds)
    const heard = resample(samples, rate, rule.rate)
    const logits = await this.#session.runSamples(rule.normalize ? normalized(heard) : heard)
    try {
      const [, , classes = 0] = logits.dims
      if (logits.dims.length !== 3 || classes < rule.classes) {
        throw new Error(`The model's logits have the shape [${logits.dims}], not [1, n, ${rule.classes}]`)
      }
      return bestOfEach(logits.data, classes)
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

/** Mean 0 and variance 1, as Wav2Vec2FeatureExtractor makes it. */
function normalized(samples: Float32Array): Float32Array {
  let [sum, squares] = [0, 0]
  for (const value of samples) sum += value
  const mean = sum / samples.length
  for (const value of samples) squares += (value - mean) ** 2
  const spread = Math.sqrt(squares / samples.length + 1e-7)
  return samples.map((value) => (value - mean) / spread)
}

function bestOfEach(logits: Float32Array, classes: number): Float32Array {
  return Float32Array.from({ length: logits.length / classes }, (_, moment) => {
    const start = moment * classes
    let best = 0
    for (let at = 1; at < classes; at++)
      if ((logits[start + at] ?? 0) > (logits[start + best] ?? 0)) best = at
    return best
  })
}
