/** automatic-speech-recognition: what is said in a recording, by models with a CTC head (wav2vec 2.0 and its kin). */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMediaInput, writeMediaInput } from '@millrace/contracts'
import { z } from 'zod'
import { loadCtcText } from '../ctc-text.js'
import { processorFile } from '../model-files.js'
import { sineWav } from '../sine-wav.js'
import type { ModelInput, ModelTask } from './model-task.js'

const processorSchema = z.looseObject({
  feature_extractor_type: z.literal('Wav2Vec2FeatureExtractor'),
  sampling_rate: z.number().int().positive(),
  do_normalize: z.boolean().nullish(),
})

/** How long a recording is, only its decoder knows; and none shares a forward pass with another. */
const cost = 256

/** @throws Error for a model of another kind, such as Whisper */
export async function openSpeechRecognition(dir: string): Promise<ModelTask> {
  const text = await loadCtcText(dir)
  const { sampling_rate: rate, do_normalize: normalize } = await readProcessor(dir)
  return {
    engine: 'transformers-speech',
    output: { kind: 'frames', classes: text.classes, rate, normalize: normalize ?? true },
    files: [],
    maxTokens: cost,
    probe: (_, place) => probeInput(place, rate),
    encode: ({ input, bytes }) => {
      readMediaInput(input)
      return { ids: new Int32Array(), cost, extra: bytes ? { bytes } : {} }
    },
    loaded: () => ({
      facts: { task: 'automatic-speech-recognition', sampling_rate: rate },
      resultOf: (ids) => ({ kind: 'value', value: { text: text.textOf(ids) } }),
    }),
  }
}

async function readProcessor(dir: string): Promise<z.infer<typeof processorSchema>> {
  const file = join(dir, processorFile)
  try {
    return processorSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    throw new Error(`${file} is broken, or not of a model with a CTC head, which alone are supported`, {
      cause: error,
    })
  }
}

function probeInput(place: number, rate: number): ModelInput {
  const bytes = sineWav(0.2 + 0.1 * place, 300 + 110 * place, rate)
  const digest = 'self-test'.padEnd(43, '-')
  return {
    input: writeMediaInput({ kind: 'audio', type: 'audio/wav', bytes: bytes.length, digest }),
    truncate: false,
    bytes,
  }
}
