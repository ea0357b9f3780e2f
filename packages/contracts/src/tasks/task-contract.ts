/** What one task promises over HTTP: which input it takes, which options, and which of them decide a result. Plain data. */
import type { InputForm } from '../job-input.js'
import type { JobOptions } from '../job-options.js'

export type OptionName = keyof JobOptions

/** The value of an option that decides a result. Plain JSON: it is hashed, queued, and told to the model process. */
export type ParamValue = string | number | boolean | readonly string[]
export type Params = Readonly<Record<string, ParamValue>>

export interface TaskContract {
  readonly input: InputForm
  /** Another form that it takes as well. */
  readonly otherInput?: InputForm
  /** Options that say how a result is written out, and `truncate` where an input can be cut. */
  readonly options: readonly OptionName[]
  /**
   * Options that decide a result, so that they are part of every content key: each with the value it has where a client
   * gives none, so that giving it and leaving it out is one key; or null where it then has none.
   */
  readonly params: Readonly<Partial<Record<OptionName, ParamValue | null>>>
  /** Params that a client must give. */
  readonly required?: readonly OptionName[]
  /** An input that is longer than the model takes is read in parts: a gateway refuses none for its tokens. */
  readonly splits?: true
  /** Most items of a chunk, where one takes much longer than a forward pass. */
  readonly chunkItems?: number
}
