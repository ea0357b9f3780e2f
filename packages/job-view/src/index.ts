export {
  type JobWithoutOutput,
  knownJobText,
  type QueueEstimate,
  queueState,
  storedJobText,
  viewOf,
} from './job-view.js'
export { rankedLabels, scoreNumber } from './scores.js'
export { itemErrorText, type ResultForm, ResultTexts } from './vector-json.js'
