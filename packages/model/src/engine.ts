/**
 * The seam: what runs inside a model process. An engine loads one model, runs batches, closes. It must not know of
 * jobs, queues, caches, processes or texts: it gets token ids and gives vectors, of an embedding, of scores or of candidates.
 *
 * An engine module exports `createEngine: CreateEngine`. Every engine passes engine-conformance.ts.
 */
import type { Device, Params, Task } from '@millrace/contracts'
import type { Activation } from './activation.js'
import type { GenerationRule } from './generation/wishes.js'
import type { SpeechRule } from './speech/speech-rule.js'

/** One sequence of token ids, special tokens included. */
export interface Sequence {
  readonly ids: Int32Array
  /** Of two texts read together: ids from this place on have the token type 1. Absent: all have type 0. */
  readonly typeOneFrom?: number
}

/** One input, ready for the model. */
export interface EncodedItem extends Sequence {
  /** What it costs, in tokens. Absent: `ids.length`. */
  readonly cost?: number
  /** What else the engine of its task needs. */
  readonly extra?: ItemExtra
}

/** Travels to the model process as it is, so it is kept small or in one typed array. */
export interface ItemExtra {
  /** Options that decide the result. */
  readonly params?: Params
  /** Sequences that belong to this item beside `ids`, such as one for each further label. */
  readonly more?: readonly Sequence[]
  /** A file, such as an image, not decoded. */
  readonly bytes?: Uint8Array
}

export function costOf(item: EncodedItem): number {
  return item.cost ?? item.ids.length
}

export const poolingModes = ['cls', 'max', 'mean', 'mean_sqrt_len', 'lasttoken'] as const
export type PoolingMode = (typeof poolingModes)[number]

/** How token vectors become one vector, as the model's own sentence-transformers files say. */
export interface Pooling {
  readonly mode: PoolingMode
  readonly normalize: boolean
}

/**
 * How a model's output becomes the vector of an item: token vectors are pooled; logits become scores; of the logits at
 * the mask the best become candidates: `count` scores (shares of 1), best first, and then their `count` token ids; or all
 * logits are given as they are, see LogitsOf; of a text that is written, see generation/written-tokens.ts.
 */
export type OutputRule =
  | { readonly kind: 'pooled'; readonly pooling: Pooling }
  | { readonly kind: 'scores'; readonly activation: Activation }
  | { readonly kind: 'candidates'; readonly maskTokenId: number; readonly most: number }
  /** As many classes, and one more for nothing; rows as detections.ts writes them. */
  | { readonly kind: 'objects'; readonly classes: number }
  /** The best class of each moment of a recording that is brought to `rate` samples per second. */
  | { readonly kind: 'frames'; readonly classes: number; readonly rate: number; readonly normalize: boolean }
  | { readonly kind: 'logits'; readonly of: LogitsOf }
  | GenerationRule
  /** Segments as speech/segments.ts writes them. */
  | SpeechRule

/**
 * The logits of every sequence of an item, one sequence after the other. `tokens`: a row for each of its tokens, one logit
 * per label; `ends`: one of each token as a beginning, then one of each as an end; `sequence`: one per label.
 */
export type LogitsOf = 'tokens' | 'ends' | 'sequence'

/** What an engine needs to know. Plain data: it crosses a process border. */
export interface EngineSpec {
  /** Folder with config.json and onnx/. Nothing outside it and `prepared` is read, nothing is downloaded. */
  readonly dir: string
  /** A folder with the same model prepared for this machine, used instead where the engine can map its weights. */
  readonly prepared?: string
  readonly dtype: string
  readonly task: Task
  readonly output: OutputRule
  readonly padTokenId: number
  /** Where the forward pass runs. An engine that cannot run it there fails to load; it never takes another device. */
  readonly device: Device
  /** Intra-op threads, on the CPU. */
  readonly threads: number
  /** Meant for one particular engine; the others ignore it. */
  readonly options: Readonly<Record<string, string | number | boolean>>
}

export interface EngineFacts {
  /** Length of every vector; 0 where they vary. */
  readonly dimensions: number
  /** It computes the items of a batch one after the other, so a batch of several only makes them wait. */
  readonly oneAtATime?: boolean
}

/** What an engine whose items grow token by token can say and hear while it runs. The others ignore it. */
export interface RunHooks {
  /** Ends what runs early: it gives what it has, and says so. */
  readonly signal?: AbortSignal
  /** More of the item at `place` of the batch: ids of its tokens from `at` on. */
  readonly onTokens?: (place: number, at: number, ids: readonly number[]) => void
}

export interface Engine {
  /** Called once, before anything else. @throws Error when the model cannot be used */
  load(): Promise<EngineFacts>
  /**
   * One forward pass.
   * @param batch at least one item, each at most the model's limit long
   * @returns one vector per item, in the order of the batch, each with its own buffer
   * @throws Error when the batch cannot be computed; the engine stays usable
   */
  run(batch: readonly EncodedItem[], hooks?: RunHooks): Promise<Float32Array[]>
  /** Frees the model. Twice is fine, before load is fine. */
  close(): Promise<void>
}

export type CreateEngine = (spec: EngineSpec) => Engine
