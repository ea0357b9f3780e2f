export { type ScoredToken, scoredTokens } from './candidates.js'
export { threadsFor } from './cpu-quota.js'
export { downloadModel } from './download-model.js'
export type {
  CreateEngine,
  EncodedItem,
  Engine,
  EngineFacts,
  EngineSpec,
  OutputRule,
  Pooling,
  PoolingMode,
} from './engine.js'
export type { ModelEvent } from './events.js'
export { builtInEngine, type LoadedModel, type LoadModelOptions, loadModel } from './load-model.js'
export { type MeasuredBatches, type MeasureOptions, measureBatches } from './measured-batches.js'
export { modelVersion, type VersionParts } from './model-version.js'
export type { BatchOutcome, ItemOutcome } from './open-batch.js'
