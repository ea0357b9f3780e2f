export {
  type Batch,
  type BatcherLimits,
  defaultPassTokens,
  MicroBatcher,
  maxPaddingRatio,
} from './micro-batcher.js'
