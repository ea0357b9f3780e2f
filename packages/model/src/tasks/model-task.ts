/**
 * What a task makes of a model: which engine runs it and by which rule, how an input becomes the engine's item, and what
 * the engine's numbers mean. All that differs between tasks in a worker is behind this; each task is a file beside it.
 */
import type { Candidate, Params, TaskFacts } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { EncodedItem, OutputRule } from '../engine.js'

/** One input as it is queued, and all that decides its result. */
export interface ModelInput {
  /** A text, or the canonical form of something else (of a pair: pair.ts of @millrace/tokenizer). */
  readonly input: string
  readonly truncate: boolean
  readonly params?: Params | undefined
  /** Of an image or a recording: the file. Absent where its weight alone is asked for. */
  readonly bytes?: Uint8Array | undefined
}

/** The result of one item. Which of these a task gives is its own matter. */
export type TaskResult =
  | { readonly kind: 'vector'; readonly values: Float32Array }
  /** A score of every label, in the model's own order. */
  | { readonly kind: 'labels'; readonly labels: readonly string[]; readonly scores: Float32Array }
  | { readonly kind: 'score'; readonly score: number }
  | { readonly kind: 'candidates'; readonly candidates: readonly Candidate[] }
  /** What a client reads, as plain JSON. `partial`: it ended early, so it is the answer here and no other's. */
  | { readonly kind: 'value'; readonly value: unknown; readonly partial?: boolean }

export interface ModelTask {
  /** Name of an engine of this package. */
  readonly engine: string
  readonly output: OutputRule
  /** Files beside the usual ones that decide answers, relative to the folder. */
  readonly files: readonly string[]
  /** Of a task that reads or writes text. */
  readonly tokenizer?: TextTokenizer
  /** The longest input that the model takes, or what each costs. Default: the tokenizer's. */
  readonly maxTokens?: number
  /** So many first values of a vector change with rounding by a little only, all by default; the self-test compares these. */
  readonly continuous?: (length: number) => number
  /** An input of this task that holds `text`, for the self-test; where it cannot, another one for each `place`. */
  probe(text: string, place: number): ModelInput
  /** @throws MillraceError for what this model cannot take */
  encode(input: ModelInput): EncodedItem
  /**
   * @param dimensions numbers per item that the loaded engine gives; 0 where they vary
   * @throws Error when a model with that many cannot do this task
   */
  loaded(dimensions: number): LoadedTask
}

export interface LoadedTask {
  readonly facts: TaskFacts
  /** @param output what the engine gave for `item`, which was encoded from `input` */
  resultOf(output: Float32Array, item: EncodedItem, input: ModelInput): TaskResult
  /** Where items grow token by token: reads along while the engine writes one. */
  readonly follow?: (item: EncodedItem, input: ModelInput) => Follower
}

/** Reads one item along. */
export interface Follower {
  /**
   * @param at place of the first of these tokens; those that were heard before are heard again after a crash
   * @returns the text that is sure by now, a beginning of the result's; and whether nothing can follow, so that the
   * engine may end
   */
  tokens(at: number, ids: readonly number[]): { readonly text: string; readonly ended: boolean }
}

/** The usual probe and encoding: the whole input is one text. */
export function textInputs(
  tokenizer: TextTokenizer,
): Required<Pick<ModelTask, 'tokenizer' | 'probe' | 'encode'>> {
  return {
    tokenizer,
    probe: (text) => ({ input: text, truncate: true }),
    encode: ({ input, truncate }) => tokenizer.encode(input, { truncate }),
  }
}
