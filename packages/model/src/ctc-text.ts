/**
 * The best class of each moment as text: Wav2Vec2CTCTokenizer of transformers. Repeats are one, the blank is none, the
 * delimiter is a space. Knows files of a model folder and ids.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ctcVocabularyFiles, firstThere } from './model-files.js'

const vocabularySchema = z.record(z.string(), z.number().int().nonnegative())
const tokenizerSchema = z.looseObject({
  model: z.looseObject({ vocab: vocabularySchema }),
  added_tokens: z.array(z.looseObject({ id: z.number().int(), content: z.string() })).nullish(),
})
const token = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish()
const configSchema = z.looseObject({
  pad_token: token,
  word_delimiter_token: token,
  replace_word_delimiter_char: z.string().nullish(),
  do_lower_case: z.boolean().nullish(),
})

export interface CtcText {
  /** How many classes there are. */
  readonly classes: number
  textOf(ids: ArrayLike<number>): string
}

const configFile = 'tokenizer_config.json'

/** @throws Error naming the file that is missing or broken */
export async function loadCtcText(dir: string): Promise<CtcText> {
  const { file } = await firstThere(dir, ctcVocabularyFiles)
  const vocabulary =
    file === 'tokenizer.json'
      ? vocabularyOf(await readJson(dir, file, tokenizerSchema))
      : await readJson(dir, file, vocabularySchema)
  const config = await readJson(dir, configFile, configSchema)
  const pieces = new Map(Object.entries(vocabulary).map(([piece, id]) => [id, piece]))
  const blank = contentOf(config.pad_token) ?? '<pad>'
  const delimiter = contentOf(config.word_delimiter_token) ?? '|'
  const space = config.replace_word_delimiter_char ?? ' '
  return {
    classes: Math.max(...pieces.keys()) + 1,
    textOf(ids) {
      let text = ''
      for (let i = 0; i < ids.length; i++) {
        const piece = pieces.get(ids[i] ?? -1) ?? ''
        if (ids[i] === ids[i - 1] || piece === blank) continue
        text += piece === delimiter ? space : piece
      }
      const trimmed = text.trim()
      return config.do_lower_case === true ? trimmed.toLowerCase() : trimmed
    },
  }
}

function vocabularyOf({
  model,
  added_tokens: added,
}: z.infer<typeof tokenizerSchema>): Record<string, number> {
  return { ...model.vocab, ...Object.fromEntries((added ?? []).map(({ content, id }) => [content, id])) }
}

function contentOf(given: z.infer<typeof token>): string | undefined {
  return typeof given === 'string' ? given : given?.content
}

async function readJson<T>(dir: string, file: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(join(dir, file), 'utf8')))
  } catch (error) {
    const path = join(dir, file)
    throw new Error(`${path} is missing or broken: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}
