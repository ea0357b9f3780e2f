export {
  type Batch,
  type Batcher,
  type BatcherLimits,
  defaultPassTokens,
  MicroBatcher,
  maxPaddingRatio,
  oldestLeadsEvery,
  priorities,
} from './micro-batcher.js'
