/**
 * Logits of a decoder that writes times between its words, as WhisperTimeStampLogitsProcessor of transformers 4.57
 * (generation/logits_process.py) leaves them: times come in pairs, never go back, begin a window, and are taken where all
 * of them together are likelier than any word. Pure.
 */
import type { SpeechRule } from './speech-rule.js'

const never = Number.NEGATIVE_INFINITY

/**
 * @param logits changed in place
 * @param written the new tokens by now
 */
export function adjustTimeLogits(
  logits: Float32Array,
  written: readonly number[],
  { firstTimeId, noTimestampsId, endIds, maxFirstTime }: SpeechRule,
): void {
  const isTime = (id: number | undefined) => id !== undefined && id >= firstTimeId
  logits[noTimestampsId] = never
  const afterTime = isTime(written.at(-1))
  const afterPair = afterTime && (written.length < 2 || isTime(written.at(-2)))
  if (afterPair) logits.fill(never, firstTimeId)
  else if (afterTime) logits.fill(never, 0, endIds[0])
  const last = written.findLast(isTime)
  // Of a pair the second may be the same; another one may not.
  if (last !== undefined) logits.fill(never, firstTimeId, afterTime && !afterPair ? last : last + 1)
  if (written.length === 0) {
    logits.fill(never, 0, firstTimeId)
    if (maxFirstTime !== null) logits.fill(never, firstTimeId + maxFirstTime + 1)
  }
  if (timesAreLikelier(logits, firstTimeId)) logits.fill(never, 0, firstTimeId)
}

function timesAreLikelier(logits: Float32Array, firstTimeId: number): boolean {
  let [mostOfWords, mostOfTimes] = [never, never]
  for (const [id, logit] of logits.entries()) {
    if (id < firstTimeId) mostOfWords = Math.max(mostOfWords, logit)
    else mostOfTimes = Math.max(mostOfTimes, logit)
  }
  if (mostOfTimes === never) return false
  let sum = 0
  for (let id = firstTimeId; id < logits.length; id++) sum += Math.exp((logits[id] ?? never) - mostOfTimes)
  return mostOfTimes + Math.log(sum) > mostOfWords
}
