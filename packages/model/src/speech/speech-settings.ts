/** The rule of a Whisper model, from its files, as transformers reads them. Knows files only. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { generationFile } from '../generation/generation-settings.js'
import { processorFile } from '../model-files.js'
import type { SpeechRule } from './speech-rule.js'

const id = z.number().int().nonnegative()
const count = z.number().int().positive()

const processorSchema = z.looseObject({
  feature_extractor_type: z.literal('WhisperFeatureExtractor'),
  sampling_rate: count,
  hop_length: count,
})
const configSchema = z.looseObject({
  model_type: z.literal('whisper'),
  max_source_positions: count,
  max_target_positions: count,
})
const generationSchema = z.looseObject({
  decoder_start_token_id: id,
  eos_token_id: z.union([id.transform((one) => [one]), z.array(id).min(1)]),
  no_timestamps_token_id: id,
  lang_to_id: z.record(z.string(), id).nullish(),
  task_to_id: z.record(z.string(), id).nullish(),
  max_initial_timestamp_index: z.number().int().nonnegative().nullish(),
  max_length: count.nullish(),
  suppress_tokens: z.array(z.number().int()).nullish(),
  begin_suppress_tokens: z.array(z.number().int()).nullish(),
})

/** GenerationConfig's own, which transformers takes where a model's file does not say. */
const defaultMaxLength = 20

/** @throws Error naming the file that is missing, broken or of another kind of model */
export async function readSpeechSettings(dir: string): Promise<SpeechRule> {
  const processor = await readJson(dir, processorFile, processorSchema)
  const config = await readJson(dir, 'config.json', configSchema)
  const own = await readJson(dir, generationFile, generationSchema)
  const languages = Object.entries(own.lang_to_id ?? {}).map(([piece, token]) => [codeOf(piece), token])
  return {
    kind: 'spoken',
    rate: processor.sampling_rate,
    hop: processor.hop_length,
    windowFrames: 2 * config.max_source_positions,
    context: config.max_target_positions,
    maxLength: own.max_length ?? defaultMaxLength,
    startId: own.decoder_start_token_id,
    endIds: own.eos_token_id,
    languages: Object.fromEntries(languages),
    transcribeId: own.task_to_id?.transcribe ?? null,
    translateId: own.task_to_id?.translate ?? null,
    noTimestampsId: own.no_timestamps_token_id,
    firstTimeId: own.no_timestamps_token_id + 1,
    maxFirstTime: own.max_initial_timestamp_index ?? null,
    suppressedIds: (own.suppress_tokens ?? []).filter((token) => token >= 0),
    firstSuppressedIds: (own.begin_suppress_tokens ?? []).filter((token) => token >= 0),
  }
}

/** `<|en|>` is `en`. */
function codeOf(piece: string): string {
  return piece.replace(/^<\|(.*)\|>$/, '$1')
}

async function readJson<T>(dir: string, file: string, schema: z.ZodType<T>): Promise<T> {
  const path = join(dir, file)
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    throw new Error(
      `${path} is missing, broken or not of a Whisper model: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    )
  }
}
