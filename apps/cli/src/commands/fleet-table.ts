/** The fleet as `millrace status` shows it: a line of health, a table of models. Pure. */
import type { Model } from '@millrace/client'
import { type ModelFacts, maxCandidates } from '@millrace/contracts'
import { type Paint, plainPaint } from '../paint.js'

/** What /readyz says, as far as it says it. */
export interface Readiness {
  readonly ready: boolean
  readonly queue_redis?: boolean | undefined
  readonly cache_redis?: boolean | undefined
}

/** A gateway that is newer than this command says more of a model's queue: whatever numbers are there are shown. */
export type ModelWithQueue = Model & { readonly queue?: unknown }

export function fleetTable(
  models: readonly ModelWithQueue[],
  readiness: Readiness,
  paint: Paint = plainPaint,
): string[] {
  const queueNames = [...new Set(models.flatMap((model) => Object.keys(queueNumbers(model))))]
  const header = [
    'MODEL',
    'WORKERS',
    ...queueNames.map(heading),
    'TASK',
    'DTYPE',
    'NUMBERS',
    'TOKENS',
    'BATCHES',
    'TOKENS/S',
  ]
  const rows = models.map((model) => {
    const { facts } = model
    const queue = queueNumbers(model)
    return [
      model.id,
      String(model.workers),
      ...queueNames.map((name) => numberWords(queue[name])),
      model.task,
      facts?.dtype ?? '-',
      numberWords(facts ? numbersPerItem(facts) : undefined),
      numberWords(facts?.max_tokens),
      facts?.batching.mode.replaceAll('_', ' ') ?? '-',
      numberWords(model.tokens_per_s ?? undefined),
    ]
  })
  const [head = '', ...lines] = aligned([header, ...rows])
  const warnings = models.flatMap((model) => versionsWords(model) ?? []).map((words) => paint.yellow(words))
  return [
    healthWords(readiness, paint),
    '',
    paint.bold(head),
    ...lines,
    ...(warnings.length > 0 ? ['', ...warnings] : []),
  ]
}

/** A line for each worker of each model. */
export function workerTable(models: readonly Partial<Model>[], paint: Paint = plainPaint): string[] {
  const header = [
    'WORKER',
    'MODEL',
    'VERSION',
    'DTYPE',
    'BATCHES',
    'AREA',
    'ITEMS',
    'PROCESSES',
    'THREADS',
    'TOKENS/S',
    'SINCE',
  ]
  const rows = models.flatMap(({ id: model = '', served_by = [] }) =>
    served_by.map(({ id, version, dtype, batching, processes, threads, tokens_per_s, started_at }) => [
      id,
      model,
      shortVersion(version),
      dtype,
      batching.mode.replaceAll('_', ' '),
      numberWords(batching.tokens),
      numberWords(batching.items),
      numberWords(processes),
      numberWords(threads),
      numberWords(tokens_per_s ?? undefined),
      started_at,
    ]),
  )
  const [head = '', ...lines] = aligned([header, ...rows])
  return ['', paint.bold(head), ...lines]
}

/** Where workers disagree. */
function versionsWords({ id, versions = [] }: Partial<Model>): string | undefined {
  if (versions.length < 2) return undefined
  const each = versions.map(
    ({ version, workers }) =>
      `${shortVersion(version)} on ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
  )
  return `${id} runs at ${versions.length} versions: ${each.join(', ')}`
}

function shortVersion(version: string): string {
  return version.slice(0, 12)
}

/** Of an embedding, or one for each label, or the score, or those of all candidates; undefined where it depends on the item. */
export function numbersPerItem(facts: ModelFacts): number | undefined {
  if ('dimensions' in facts) return facts.dimensions
  if (facts.task === 'fill-mask') return maxCandidates
  if (facts.task === 'text-classification' || facts.task === 'image-classification')
    return facts.labels.length
  return facts.task === 'rerank' ? 1 : undefined
}

function healthWords({ ready, queue_redis, cache_redis }: Readiness, paint: Paint): string {
  const parts = [ready ? paint.green('ready') : paint.red('not ready')]
  if (queue_redis !== undefined) parts.push(`queue Redis ${queue_redis ? 'up' : paint.red('down')}`)
  if (cache_redis !== undefined) parts.push(`cache Redis ${cache_redis ? 'up' : paint.yellow('down')}`)
  return parts.join('   ')
}

function queueNumbers({ queue }: ModelWithQueue): Record<string, number> {
  if (typeof queue !== 'object' || queue === null) return {}
  return Object.fromEntries(Object.entries(queue).filter(([, value]) => typeof value === 'number'))
}

/** `items_per_s` -> `ITEMS/S` */
function heading(name: string): string {
  return name.replace('_per_', '/').replaceAll('_', ' ').toUpperCase()
}

function numberWords(value: number | undefined): string {
  if (value === undefined) return '-'
  return value.toLocaleString('en-US', { maximumFractionDigits: 1 })
}

/** Columns of equal width, as wide as their widest cell. */
export function aligned(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
