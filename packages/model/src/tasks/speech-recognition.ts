/**
 * automatic-speech-recognition: what is said in a recording, by models with a CTC head (wav2vec 2.0 and its kin), or by
 * Whisper models, which write it (spoken-text.ts).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MillraceError, type Params } from '@millrace/contracts'
import { z } from 'zod'
import { loadCtcText } from '../ctc-text.js'
import { processorFile } from '../model-files.js'
import type { ModelTask } from './model-task.js'
import { soundInputs, soundItem } from './sound-inputs.js'
import { openSpokenText } from './spoken-text.js'

const processorSchema = z.looseObject({
  feature_extractor_type: z.enum(['Wav2Vec2FeatureExtractor', 'WhisperFeatureExtractor']),
  sampling_rate: z.number().int().positive(),
  do_normalize: z.boolean().nullish(),
})

/** @throws Error for a model of another kind */
export async function openSpeechRecognition(dir: string): Promise<ModelTask> {
  const processor = await readProcessor(dir)
  const { sampling_rate: rate, do_normalize: normalize } = processor
  if (processor.feature_extractor_type === 'WhisperFeatureExtractor') return openSpokenText(dir)
  const text = await loadCtcText(dir)
  return {
    engine: 'transformers-speech',
    output: { kind: 'frames', classes: text.classes, rate, normalize: normalize ?? true },
    files: [],
    ...soundInputs(rate),
    encode: ({ input, params = {}, bytes }) => {
      refuseWishes(params)
      return soundItem({ input, bytes })
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
    throw new Error(
      `${file} is broken, or not of a model with a CTC head, nor of a Whisper model: others are not supported`,
      {
        cause: error,
      },
    )
  }
}

/** A model of this kind writes down what it hears, and no more. @throws MillraceError invalid_input */
function refuseWishes(params: Params): void {
  const given = ['language', 'translate', 'return_timestamps'].find((name) => params[name])
  if (given !== undefined) throw new MillraceError('invalid_input', `This model takes no options.${given}`)
}
