export {
  type JobWithoutOutput,
  knownJobJson,
  type QueueEstimate,
  queueState,
  storedJobJson,
  viewOf,
} from './job-view.js'
export { jsonBytes } from './json-bytes.js'
export { rankedLabels, scoreNumber } from './scores.js'
export { itemErrorText, type ResultForm, ResultTexts } from './vector-json.js'
