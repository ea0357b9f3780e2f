export {
  type Batch,
  type BatcherLimits,
  defaultPassTokens,
  MicroBatcher,
  maxPaddingRatio,
  oldestLeadsEvery,
  priorities,
} from './micro-batcher.js'
