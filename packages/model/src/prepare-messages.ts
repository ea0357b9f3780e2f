/** What a worker and the child that prepares a model say to each other. */
import type { EncodedItem, EngineSpec } from './engine.js'

export interface ToPrepare {
  readonly engineModule: string
  readonly spec: EngineSpec
  /** What the plain and the saved graph must answer alike, each alone and all together. */
  readonly probes: readonly EncodedItem[]
  /** Weights packed ahead for this CPU. */
  readonly prepacked: boolean
  /** A folder of its own: gets config.json, onnx/ and prepared.json, whatever is there. */
  readonly into: string
}

export type FromPrepare =
  | { readonly type: 'done' }
  /** What was saved is not the same model, and will not be with this runtime on this CPU. */
  | { readonly type: 'unfit'; readonly message: string }
  | { readonly type: 'failed'; readonly message: string }

/** Written last into a prepared folder, and read before it is used. */
export interface PreparedNote {
  /** Weights were packed ahead for this CPU; otherwise each process packs its own. */
  readonly prepacked: boolean
  /** Size of each file. */
  readonly files: Readonly<Record<string, number>>
}

export const noteFile = 'prepared.json'
