/**
 * Speech on ONNX Runtime, for models with a CTC head: the best class of each moment. One recording
 * at a time: padding changes what these models hear.
 */
import type { CreateEngine } from '../engine.js'
import { sineWav } from '../sine-wav.js'
import { decodeAudio } from './audio-decoder.js'
import { resample } from './resample.js'
import { type OpenFeed, SessionEngine } from './session-engine.js'

export const createEngine: CreateEngine = (spec) => {
  const rule = spec.output
  if (rule.kind !== 'frames') throw new Error('A speech engine has to be told the rate and the classes')
  const maxSeconds = Number(spec.options.maxAudioS ?? Number.POSITIVE_INFINITY)
  const feedSamples: OpenFeed<undefined> =
    async () =>
    async ([row]) => {
      const { samples, rate } = await decodeAudio(row?.extra?.bytes, maxSeconds)
      const heard = resample(samples, rate, rule.rate)
      const dims = [1, heard.length]
      const feeds = {
        input_values: { data: rule.normalize ? normalized(heard) : heard, dims },
        attention_mask: { data: new BigInt64Array(heard.length).fill(1n), dims },
      }
      return { feeds, pass: undefined }
    }
  return new SessionEngine(spec, feedSamples, {
    wanted: { outputs: ['logits'] },
    probe: { ids: new Int32Array(), extra: { bytes: sineWav(0.5, 440, rule.rate) } },
    made: 'class',
    apart: true,
    read({ data, dims }) {
      const [, , classes = 0] = dims
      if (dims.length !== 3 || classes < rule.classes) {
        throw new Error(`The model's logits have the shape [${dims}], not [1, n, ${rule.classes}]`)
      }
      return [bestOfEach(data, classes)]
    },
  })
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
