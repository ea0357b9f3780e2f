/**
 * A recording as the frames that a Whisper model hears: log-mel spectrogram by the library's own extractor. Of a recording
 * that is longer than a window it is one spectrogram, and windows are cut from it, as transformers does it.
 */
import { importTransformers } from './transformers-library.js'

export interface Spectrogram {
  /** `[bands, frames]`. */
  readonly data: Float32Array
  readonly bands: number
  readonly frames: number
}

/** @param samples at the rate of the model */
export type MakeSpectrogram = (samples: Float32Array) => Promise<Spectrogram>

/** What of the library's extractor is ours to set. */
interface Extractor {
  readonly config: { n_samples: number; nb_max_frames: number }
  (
    samples: Float32Array,
    options: { max_length: number },
  ): Promise<{
    input_features: { data: unknown; dims: readonly number[] }
  }>
}

/** @throws Error where preprocessor_config.json is not there or broken */
export async function openSpectrogram(dir: string): Promise<MakeSpectrogram> {
  const { AutoFeatureExtractor } = importTransformers()
  const loaded = await AutoFeatureExtractor.from_pretrained(dir, { local_files_only: true })
  const extractor = loaded as unknown as Extractor
  const { config } = extractor
  const window = config.n_samples
  // It would cut the frames off behind the first window.
  config.nb_max_frames = Number.MAX_SAFE_INTEGER
  return async (samples) => {
    // Padded up to one window, and never cut.
    const { input_features: found } = await extractor(samples, {
      max_length: Math.max(window, samples.length),
    })
    const [one, bands = 0, frames = 0] = found.dims
    if (!(found.data instanceof Float32Array) || one !== 1 || found.data.length !== bands * frames) {
      throw new Error(`The extractor of the model gives a tensor of the shape [${found.dims}]`)
    }
    return { data: found.data, bands, frames }
  }
}

/** So many frames from `start` on as the encoder's input, with zeros behind the end. */
export function windowOf({ data, bands, frames }: Spectrogram, start: number, count: number): Float32Array {
  const window = new Float32Array(bands * count)
  for (let band = 0; band < bands; band++) {
    const row = data.subarray(band * frames + start, band * frames + Math.min(frames, start + count))
    window.set(row, band * count)
  }
  return window
}
