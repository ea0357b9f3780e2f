export { type ContentKeyParts, contentKey, keyMaker } from './content-key.js'
export {
  decodeResult,
  encodeCandidates,
  encodeError,
  encodeLabels,
  encodeResult,
  encodeScore,
  encodeVector,
  type ItemResult,
  isErrorResult,
  isVectorResult,
  vectorBytes,
} from './item-result.js'
export {
  type Ask,
  type CacheEvent,
  type GetOrAsk,
  type GetOrClaim,
  type Lookup,
  ResultCache,
  type ResultCacheOptions,
} from './result-cache.js'
