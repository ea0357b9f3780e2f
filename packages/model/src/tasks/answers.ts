/**
 * Logits of beginnings and ends to answers, step by step as transformers' QuestionAnsweringPipeline makes them
 * (select_starts_ends, decode_spans, postprocess). Knows numbers and places, no model.
 */
import { type Answer, shortFloat } from '@millrace/contracts'
import type { TokenSpans } from '@millrace/tokenizer'

/** One sequence of an item: a question with a part of the context. */
export interface ContextPart {
  /** Its tokens of the context, `from` to before `to`. */
  readonly from: number
  readonly to: number
  /** Where the first of them stands in the sequence; before it are special tokens and the question. */
  readonly at: number
  /** By token of the sequence. */
  readonly starts: Float32Array
  readonly ends: Float32Array
}

export interface AnswerRules {
  readonly topK: number
  readonly maxTokens: number
  readonly maybeNone: boolean
}

interface Candidate {
  /** Tokens of the context, both included. */
  readonly first: number
  readonly last: number
  readonly score: number
}

/** @returns at most `topK`, best first; fewer where the context has no more */
export function answersOf(
  parts: readonly ContextPart[],
  context: string,
  spans: TokenSpans,
  { topK, maxTokens, maybeNone }: AnswerRules,
): Answer[] {
  const characters = [...context]
  const answers = new Map<string, Answer>()
  let leastNone = Number.POSITIVE_INFINITY
  for (const part of parts) {
    const starts = shares(part, part.starts)
    const ends = shares(part, part.ends)
    leastNone = Math.min(leastNone, starts.none * ends.none)
    // More than asked for: some become one when they are widened to whole words.
    for (const one of bestOf(starts.of, ends.of, maxTokens, topK * 2 + 10)) {
      const { start, end } = wholeWords(one, part, spans)
      const answer = characters.slice(start, end).join('')
      const known = answers.get(answer.toLowerCase())
      if (known) known.score += one.score
      else answers.set(answer.toLowerCase(), { score: one.score, start, end, answer })
    }
  }
  const all = [...answers.values()]
  if (maybeNone) all.push({ score: leastNone, start: 0, end: 0, answer: '' })
  return all
    .sort((a, b) => b.score - a.score)
    .slice(0, topK)
    .map((answer) => ({ ...answer, score: shortFloat(Math.fround(answer.score)) }))
}

/** Softmax over the context's tokens and the first token of all, which stands for no answer. */
function shares({ from, to, at }: ContextPart, logits: Float32Array): { none: number; of: Float64Array } {
  const own = logits.subarray(at, at + to - from)
  const first = logits[0] ?? Number.NEGATIVE_INFINITY
  const largest = own.reduce((most, logit) => Math.max(most, logit), first)
  const powers = Float64Array.from(own, (logit) => Math.exp(logit - largest))
  const none = Math.exp(first - largest)
  const sum = powers.reduce((total, power) => total + power, none)
  return { none: none / sum, of: powers.map((power) => power / sum) }
}

/** The likeliest pairs of a beginning and an end not before it, best first. */
function bestOf(starts: Float64Array, ends: Float64Array, maxTokens: number, count: number): Candidate[] {
  const best: Candidate[] = []
  for (const [first, start] of starts.entries()) {
    for (let last = first; last < Math.min(first + maxTokens, ends.length); last++) {
      const score = start * (ends[last] ?? 0)
      if (score === 0 || (best.length === count && score <= (best.at(-1)?.score ?? 0))) continue
      const place = best.findIndex((one) => one.score < score)
      best.splice(place < 0 ? best.length : place, 0, { first, last, score })
      if (best.length > count) best.pop()
    }
  }
  return best
}

/** From the beginning of the first token's word to the end of the last one's, as far as this part holds them. */
function wholeWords(
  { first, last }: Candidate,
  { from, to }: ContextPart,
  { words, starts, ends }: TokenSpans,
) {
  let begin = from + first
  let end = from + last
  while (begin > from && words[begin - 1] === words[begin]) begin -= 1
  while (end + 1 < to && words[end + 1] === words[end]) end += 1
  return { start: starts[begin] ?? 0, end: ends[end] ?? 0 }
}
