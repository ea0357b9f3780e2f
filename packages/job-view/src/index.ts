export { type JobWithoutOutput, knownJobText, type QueueEstimate, storedJobText, viewOf } from './job-view.js'
export { itemErrorText, ResultTexts } from './vector-json.js'
