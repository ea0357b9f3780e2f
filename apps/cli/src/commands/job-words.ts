/** A job as a person reads it: a line, and a line for each of its outputs. Pure. */
import { decodeEmbedding, type ItemOutput, type Job } from '@millrace/client'
import type { Answer, Candidate, Entity, LabelScore, TaggedToken } from '@millrace/contracts'

const shownNumbers = 4

/** `<id>  succeeded  3 of 3 items  2 cached  12 ms` */
export function jobLine(job: Job): string {
  const { done, total } = job.progress
  const { hits } = job.metrics.cache
  const took =
    job.completed_at === null ? '' : `${Date.parse(job.completed_at) - Date.parse(job.created_at)} ms`
  const parts = [
    job.id,
    job.status,
    `${done} of ${total} ${total === 1 ? 'item' : 'items'}`,
    hits > 0 ? `${hits} cached` : '',
    took,
    waitingWords(job),
    job.error ? `${job.error.code}: ${job.error.detail}` : '',
  ]
  return parts.filter((part) => part !== '').join('  ')
}

export function outputLines(job: Job): string[] {
  if (job.output === null) return []
  const outputs = job.progress.total === 1 ? single(job.output) : job.output
  return Array.isArray(outputs) ? outputs.map((output, i) => `  ${i}  ${outputWords(output)}`) : []
}

function waitingWords({ queue }: Job): string {
  if (queue === null) return ''
  if (queue.workers === 0) return 'no worker serves its model now'
  if (queue.eta_ms === null) return ''
  return `about ${(queue.eta_ms / 1000).toFixed(1)} s to go`
}

/** One item's output is not in an array where the job was given `input`, and may be an array itself: numbers, labels, candidates. */
function single(output: NonNullable<Job['output']>): unknown[] {
  const isItem = !Array.isArray(output) || typeof output[0] === 'number' || isRanked(output[0])
  return isItem ? [output] : output
}

/** One of the several things that a single item's output holds, each with a score. */
type Ranked = LabelScore | Candidate | Answer | Entity | TaggedToken

function isRanked(value: unknown): value is Ranked {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['label', 'token_str', 'word', 'answer'].some((field) => field in value)
  )
}

function outputWords(output: unknown): string {
  const item = output as ItemOutput
  if (typeof item === 'string') return vectorWords(decodeEmbedding(item))
  if (Array.isArray(item)) return isRanking(item) ? rankingWords(item) : vectorWords(item as number[])
  if ('labels' in item)
    return rankingWords(item.labels.map((label, i) => ({ label, score: item.scores[i] ?? 0 })))
  if ('answer' in item) return rankingWords([item])
  if ('generated_text' in item) return item.generated_text
  if ('text' in item) return item.text
  return 'score' in item ? item.score.toPrecision(4) : `${item.error.code}: ${item.error.detail}`
}

function isRanking(item: readonly unknown[]): item is Ranked[] {
  return isRanked(item[0])
}

function rankingWords(ranking: readonly Ranked[]): string {
  const shown = ranking.slice(0, shownNumbers).map((one) => `${nameOf(one)} ${one.score.toPrecision(4)}`)
  const what = ranking.some((one) => 'label' in one)
    ? 'labels'
    : 'token_str' in (ranking[0] ?? {})
      ? 'candidates'
      : 'found'
  return `${shown.join(', ')}${ranking.length > shownNumbers ? `, ... (${ranking.length} ${what})` : ''}`
}

function nameOf(one: Ranked): string {
  if ('label' in one) return one.label
  if ('token_str' in one) return one.token_str
  if ('answer' in one) return `'${one.answer}'`
  return `${'entity_group' in one ? one.entity_group : one.entity} '${one.word}'`
}

function vectorWords(values: ArrayLike<number>): string {
  const shown = Array.from({ length: Math.min(shownNumbers, values.length) }, (_, i) =>
    Number(values[i]).toPrecision(4),
  )
  return `[${shown.join(', ')}${values.length > shownNumbers ? ', ...' : ''}] (${values.length} numbers)`
}
