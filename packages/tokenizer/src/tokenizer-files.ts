/**
 * The JSON files of a model folder that decide tokens and their limit: read, checked, named in every fault.
 * Knows files only; the tokenizer itself is built in text-tokenizer.ts.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

const tokenizerFileSchema = z.looseObject({
  model: z.looseObject({}),
  added_tokens: z.array(
    z.looseObject({ id: z.number().int(), content: z.string(), normalized: z.boolean().nullish() }),
  ),
  normalizer: z.looseObject({}).nullable(),
  pre_tokenizer: z.looseObject({}).nullable(),
  post_processor: z.looseObject({}).nullable(),
  decoder: z.looseObject({}).nullable(),
})

const specialToken = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish()

const tokenizerConfigSchema = z.looseObject({
  model_max_length: z.number().positive().nullish(),
  pad_token: specialToken,
  mask_token: specialToken,
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
    .nullish(),
})

const modelConfigSchema = z.looseObject({
  max_position_embeddings: z.number().int().positive().nullish(),
  n_positions: z.number().int().positive().nullish(),
  pad_token_id: z.number().int().nonnegative().nullish(),
  type_vocab_size: z.number().int().nonnegative().nullish(),
})

const sentenceConfigSchema = z.looseObject({
  max_seq_length: z.number().int().positive().nullish(),
  do_lower_case: z.boolean().nullish(),
})

// The names sentence-transformers itself looks for, in its order.
const sentenceConfigNames = [
  'sentence_bert_config.json',
  'sentence_roberta_config.json',
  'sentence_distilbert_config.json',
  'sentence_camembert_config.json',
  'sentence_albert_config.json',
  'sentence_xlm-roberta_config.json',
  'sentence_xlnet_config.json',
]

export interface TokenizerFiles {
  readonly tokenizer: z.infer<typeof tokenizerFileSchema>
  readonly tokenizerConfig: z.infer<typeof tokenizerConfigSchema>
  readonly modelConfig: z.infer<typeof modelConfigSchema>
  readonly sentenceConfig: z.infer<typeof sentenceConfigSchema>
}

/** @throws Error that names the file which is missing, not JSON, or not of the expected shape */
export async function readTokenizerFiles(modelDir: string): Promise<TokenizerFiles> {
  const [tokenizer, tokenizerConfig, modelConfig, sentenceConfig] = await Promise.all([
    readJson(join(modelDir, 'tokenizer.json'), tokenizerFileSchema),
    readJson(join(modelDir, 'tokenizer_config.json'), tokenizerConfigSchema),
    readOptionalJson(join(modelDir, 'config.json'), modelConfigSchema),
    readSentenceConfig(modelDir),
  ])
  return { tokenizer, tokenizerConfig, modelConfig: modelConfig ?? {}, sentenceConfig }
}

async function readSentenceConfig(modelDir: string): Promise<z.infer<typeof sentenceConfigSchema>> {
  for (const name of sentenceConfigNames) {
    const found = await readOptionalJson(join(modelDir, name), sentenceConfigSchema)
    if (found !== undefined) return found
  }
  return {}
}

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const found = await readOptionalJson(file, schema)
  if (found === undefined) throw new Error(`The tokenizer cannot be loaded: ${file} is missing`)
  return found
}

async function readOptionalJson<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Error(`The tokenizer cannot be loaded: ${file} cannot be read`, { cause: error })
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new Error(`The tokenizer cannot be loaded: ${file} is not valid JSON`, { cause: error })
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top)'}: ${issue.message}`)
  throw new Error(`The tokenizer cannot be loaded: ${file} is not as expected: ${faults.join('; ')}`)
}
