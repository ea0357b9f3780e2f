export { threadsFor } from './cpu-quota.js'
export { downloadedModel, downloadModel, resolveRevision } from './download-model.js'
export {
  type CreateEngine,
  costOf,
  type EncodedItem,
  type Engine,
  type EngineFacts,
  type EngineSpec,
  type ItemExtra,
  type OutputRule,
  type Pooling,
  type PoolingMode,
  type RunHooks,
} from './engine.js'
export type { ModelEvent } from './events.js'
export { builtInEngine, type LoadedModel, type LoadModelOptions, loadModel } from './load-model.js'
export { type MeasuredBatches, type MeasureOptions, measureBatches } from './measured-batches.js'
export { batchesInHand } from './model-process.js'
export { modelVersion, type VersionParts } from './model-version.js'
export type { BatchOutcome, ItemOutcome } from './open-batch.js'
export { filesDigest, ModelDigestError } from './pinned-digest.js'
export { digestModel, type ModelPlace } from './read-model.js'
export type { Follower, ModelInput, TaskResult } from './tasks/index.js'
