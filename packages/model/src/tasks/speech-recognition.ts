/** automatic-speech-recognition: what is said in a recording, by models with a CTC head (wav2vec 2.0 and its kin). */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMediaInput, writeMediaInput } from '@millrace/contracts'
import { z } from 'zod'
import { loadCtcText } from '../ctc-text.js'
import { processorFile } from '../model-files.js'
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
    files: [processorFile, ...text.files],
    maxTokens: cost,
    // Padding changes what these models hear.
    oneAtATime: true,
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

/** A WAV of 16 bits and one channel. */
export function sineWav(seconds: number, hertz: number, rate: number): Buffer {
  const count = Math.round(seconds * rate)
  const bytes = Buffer.alloc(44 + count * 2)
  bytes.write('RIFF', 0, 'latin1')
  bytes.writeUInt32LE(36 + count * 2, 4)
  bytes.write('WAVEfmt ', 8, 'latin1')
  bytes.writeUInt32LE(16, 16)
  bytes.writeUInt16LE(1, 20)
  bytes.writeUInt16LE(1, 22)
  bytes.writeUInt32LE(rate, 24)
  bytes.writeUInt32LE(rate * 2, 28)
  bytes.writeUInt16LE(2, 32)
  bytes.writeUInt16LE(16, 34)
  bytes.write('data', 36, 'latin1')
  bytes.writeUInt32LE(count * 2, 40)
  for (let i = 0; i < count; i++) {
    bytes.writeInt16LE(Math.round(12_000 * Math.sin((2 * Math.PI * hertz * i) / rate)), 44 + i * 2)
  }
  return bytes
}
