/** A job as a person reads it: a line, and a line for each of its outputs. Pure. */
import { decodeEmbedding, type ItemOutput, type Job } from '@millrace/client'

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
  if (queue === null || queue.eta_ms === null) return ''
  return `about ${(queue.eta_ms / 1000).toFixed(1)} s to go`
}

/** One item's output is not in an array where the job was given `input`, and an embedding may be an array itself. */
function single(output: NonNullable<Job['output']>): unknown[] {
  return Array.isArray(output) && typeof output[0] !== 'number' ? output : [output]
}

function outputWords(output: unknown): string {
  const item = output as ItemOutput
  if (typeof item === 'string') return vectorWords(decodeEmbedding(item))
  if (Array.isArray(item)) return vectorWords(item)
  return `${item.error.code}: ${item.error.detail}`
}

function vectorWords(values: ArrayLike<number>): string {
  const shown = Array.from({ length: Math.min(shownNumbers, values.length) }, (_, i) =>
    Number(values[i]).toPrecision(4),
  )
  return `[${shown.join(', ')}${values.length > shownNumbers ? ', ...' : ''}] (${values.length} numbers)`
}
