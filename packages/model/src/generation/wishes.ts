/**
 * What a generation shall be like: what the client asks for, else what the model's own generation_config.json says, else
 * what transformers' GenerationConfig has by default. Pure.
 */
import type { Params } from '@millrace/contracts'

/** What a model's own files say of generating with it. Plain data: it crosses a process border. */
export interface GenerationRule {
  readonly kind: 'generated'
  /** What its encoder gets, or where it has none the decoder. */
  readonly reads: 'tokens' | 'image'
  /** Any of these ends a text. */
  readonly endIds: readonly number[]
  /** Most tokens that the decoder can hold, the prompt of a decoder alone included. */
  readonly context: number
  /** What a decoder with an encoder begins with; null where there is no encoder, and the prompt itself goes on. */
  readonly startId: number | null
  /** The first token after the start, and the last one of a text that reaches its length, where the model has such. */
  readonly forcedFirstId: number | null
  readonly forcedLastId: number | null
  /** Tokens that are never written. */
  readonly suppressedIds: readonly number[]
  /** The position of the first token. */
  readonly firstPosition: number
  readonly defaults: Readonly<Partial<Record<ModelDefault, number>>>
}

export const modelDefaults = [
  'repetition_penalty',
  'no_repeat_ngram_size',
  'temperature',
  'top_k',
  'top_p',
] as const
export type ModelDefault = (typeof modelDefaults)[number]

export interface Wishes {
  readonly maxNewTokens: number
  readonly minNewTokens: number
  /** 1: none. */
  readonly repetitionPenalty: number
  /** 0: none. */
  readonly noRepeatNgramSize: number
  /** Undefined: the likeliest token is taken. */
  readonly sampling: Sampling | undefined
  readonly maxTimeMs: number
}

export interface Sampling {
  readonly seed: number
  readonly temperature: number
  readonly topK: number
  readonly topP: number
}

/** As GenerationConfig has it. */
const defaultTopK = 50

/** @param promptTokens tokens that the decoder holds before the first new one */
export function wishesOf(params: Params, rule: GenerationRule, promptTokens: number): Wishes {
  const given = (name: string): number | undefined => {
    const value = params[name]
    return typeof value === 'number' ? value : undefined
  }
  const wanted = (name: ModelDefault, neutral: number) => given(name) ?? rule.defaults[name] ?? neutral
  const sampling =
    params.do_sample === true
      ? {
          seed: given('seed') ?? 0,
          temperature: wanted('temperature', 1),
          topK: wanted('top_k', defaultTopK),
          topP: wanted('top_p', 1),
        }
      : undefined
  const room = Math.max(1, rule.context - promptTokens)
  return {
    maxNewTokens: Math.min(given('max_new_tokens') ?? room, room),
    minNewTokens: given('min_new_tokens') ?? 0,
    repetitionPenalty: wanted('repetition_penalty', 1),
    noRepeatNgramSize: wanted('no_repeat_ngram_size', 0),
    sampling,
    maxTimeMs: given('max_time_ms') ?? Number.POSITIVE_INFINITY,
  }
}
