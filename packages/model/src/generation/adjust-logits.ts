/**
 * Logits as they are after everything that decides a token beside chance, in the order of transformers 4.57
 * (generation/utils.py, _get_logits_processor): repetition penalty, repeated n-grams, suppressed tokens, least length,
 * forced tokens. Pure.
 */
import type { GenerationRule, Wishes } from './wishes.js'

const never = Number.NEGATIVE_INFINITY

/**
 * @param logits changed in place
 * @param sequence all that the decoder holds: what penalties look at
 * @param written how many of these are new
 */
export function adjustLogits(
  logits: Float32Array,
  sequence: readonly number[],
  written: number,
  wishes: Wishes,
  rule: GenerationRule,
): void {
  penalizeRepetition(logits, sequence, wishes.repetitionPenalty)
  banRepeatedNgrams(logits, sequence, wishes.noRepeatNgramSize)
  ban(logits, rule.suppressedIds)
  if (written < wishes.minNewTokens) ban(logits, rule.endIds)
  if (rule.forcedFirstId !== null && written === 0 && rule.startId !== null) force(logits, rule.forcedFirstId)
  if (rule.forcedLastId !== null && written === wishes.maxNewTokens - 1) force(logits, rule.forcedLastId)
}

/** RepetitionPenaltyLogitsProcessor: a score above 0 is divided by the penalty, one below multiplied. */
function penalizeRepetition(logits: Float32Array, sequence: readonly number[], penalty: number): void {
  if (penalty === 1) return
  for (const id of new Set(sequence)) {
    const logit = logits[id]
    if (logit !== undefined) logits[id] = logit < 0 ? logit * penalty : logit / penalty
  }
}

/** NoRepeatNGramLogitsProcessor: a token that would end an n-gram which is there already. */
function banRepeatedNgrams(logits: Float32Array, sequence: readonly number[], size: number): void {
  if (size < 1 || sequence.length + 1 < size) return
  const begun = size === 1 ? [] : sequence.slice(1 - size)
  for (let at = 0; at + size <= sequence.length; at++) {
    const last = sequence[at + size - 1]
    if (last !== undefined && begun.every((id, place) => id === sequence[at + place])) ban(logits, [last])
  }
}

function ban(logits: Float32Array, ids: readonly number[]): void {
  for (const id of ids) if (id < logits.length) logits[id] = never
}

function force(logits: Float32Array, id: number): void {
  logits.fill(never)
  logits[id] = 0
}

/** The likeliest token; of two that are alike the first, as torch.argmax takes it. */
export function likeliest(logits: Float32Array): number {
  let best = 0
  let most = logits[0] ?? never
  for (let id = 1; id < logits.length; id++) {
    const logit = logits[id] ?? never
    if (logit > most) {
      most = logit
      best = id
    }
  }
  return best
}
