/**
 * text-generation, the three tasks that read one text and write another, and image-to-text: what is given becomes a text,
 * token by token.
 */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const generationTasks = [
  'text-generation',
  'summarization',
  'translation',
  'text2text-generation',
  'image-to-text',
] as const
export type GenerationTask = (typeof generationTasks)[number]

export function isGeneration(task: string): task is GenerationTask {
  return (generationTasks as readonly string[]).includes(task)
}

export const defaultNewTokens = 256
export const mostStops = 4

/** An item takes seconds, so each is a chunk of its own: any idle worker may take the next. */
const generation = {
  input: 'text',
  options: ['truncate'],
  params: {
    max_new_tokens: defaultNewTokens,
    min_new_tokens: 0,
    do_sample: false,
    temperature: null,
    top_k: null,
    top_p: null,
    repetition_penalty: null,
    no_repeat_ngram_size: null,
    stop: null,
    seed: null,
    max_time_ms: null,
  },
  chunkItems: 1,
} as const satisfies TaskContract

export const textGeneration = { ...generation, otherInput: 'messages' } as const satisfies TaskContract
export const summarization = generation
export const translation = generation
export const text2textGeneration = generation
export const imageToText = { ...generation, input: 'image', options: [] } as const satisfies TaskContract

export const finishReasons = ['stop', 'length', 'time'] as const

/** What a generating model wrote, in the words of transformers' pipelines and of text-generation-inference. */
export const generatedTextSchema = z
  .object({
    generated_text: z.string().describe('What was written after the prompt, without the stop string'),
    finish_reason: z
      .enum(finishReasons)
      .describe(
        '`stop`: it ended by itself or at a stop string; `length`: `max_new_tokens` or the context; `time`: `max_time_ms`',
      ),
    tokens: z.object({
      prompt: z.number().int().describe('0 where no text was read'),
      generated: z.number().int().describe('The end token included'),
    }),
    seed: z.number().int().optional().describe('Where it was drawn: gives the same text again'),
  })
  .meta({ id: 'GeneratedText' })
export type GeneratedText = z.infer<typeof generatedTextSchema>

const context = z.number().int().positive().describe('Most tokens of prompt and text together')
export const textGenerationFacts = commonFacts.extend({ task: z.literal('text-generation'), context })
const written = { max_output_tokens: z.number().int().positive().describe('Most tokens of a text') }
export const summarizationFacts = commonFacts.extend({ task: z.literal('summarization'), ...written })
export const translationFacts = commonFacts.extend({ task: z.literal('translation'), ...written })
export const imageToTextFacts = commonFacts.extend({ task: z.literal('image-to-text'), ...written })
export const text2textGenerationFacts = commonFacts.extend({
  task: z.literal('text2text-generation'),
  ...written,
})
