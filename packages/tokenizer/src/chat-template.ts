/**
 * The messages of a chat as the prompt that a model was taught, by its own template: `chat_template.jinja`, or
 * `chat_template` of tokenizer_config.json, as transformers' apply_chat_template reads them. Knows texts only.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Template } from '@huggingface/jinja'
import { type ChatMessage, MillraceError } from '@millrace/contracts'
import type { TokenizerFiles } from './tokenizer-files.js'

export const chatTemplateFile = 'chat_template.jinja'

/**
 * In front of a template: it then finds no clock, as in an older transformers. A prompt with today's date would have
 * another result tomorrow, under the same key.
 */
const withoutDate = '{%- set strftime_now = nothing -%}'

/** @throws MillraceError invalid_input with the template's own words for messages that it refuses */
export type WritePrompt = (messages: readonly ChatMessage[]) => string

/** @returns undefined where the model has no template. @throws Error naming the folder whose template is none */
export async function chatTemplateOf(
  modelDir: string,
  { tokenizerConfig }: Pick<TokenizerFiles, 'tokenizerConfig'>,
): Promise<WritePrompt | undefined> {
  const file = await readFile(join(modelDir, chatTemplateFile), 'utf8').catch(() => undefined)
  const text = file ?? templateOf(tokenizerConfig.chat_template)
  if (text === undefined) return undefined
  let template: Template
  try {
    template = new Template(withoutDate + text)
  } catch (error) {
    throw new Error(`The chat template of ${modelDir} is not supported`, { cause: error })
  }
  const specials = specialTokens(tokenizerConfig)
  return (messages) => {
    try {
      return template.render({ ...specials, messages, add_generation_prompt: true })
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      throw new MillraceError('invalid_input', `The model's chat template does not take this: ${words}`)
    }
  }
}

/** Of several named templates the one named `default`. */
function templateOf(given: TokenizerFiles['tokenizerConfig']['chat_template']): string | undefined {
  if (given == null || typeof given === 'string') return given ?? undefined
  return given.find(({ name }) => name === 'default')?.template
}

/** Templates write these by name: `bos_token` and its like. */
function specialTokens(tokenizerConfig: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tokenizerConfig).flatMap(([name, value]) => {
      if (!name.endsWith('_token')) return []
      const content = typeof value === 'string' ? value : (value as { content?: unknown } | null)?.content
      return typeof content === 'string' ? [[name, content]] : []
    }),
  )
}
