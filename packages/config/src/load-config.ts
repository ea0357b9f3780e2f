/**
 * Environment and millrace.json, read once, checked together, frozen. Every fault is reported in one error, so that
 * a user mends them all at once.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Device } from '@millrace/contracts'
import type { z } from 'zod'
import { type Environment, environmentSchema } from './environment.js'
import { type ModelEntry, modelsFileSchema } from './models-file.js'

/** One model of the fleet with its folder resolved. `dir` is null for a hub model: the worker downloads it. */
export interface ModelConfig {
  readonly alias: string
  readonly task: ModelEntry['task']
  readonly dtype: ModelEntry['dtype']
  readonly device: Device
  readonly dir: string | null
  readonly hub: { readonly id: string; readonly revision: string } | null
}

export interface Config extends Readonly<Omit<Environment, 'MILLRACE_MODELS'>> {
  /** Every model of millrace.json, by alias. */
  readonly models: ReadonlyMap<string, ModelConfig>
  /** The aliases a worker of this configuration serves. */
  readonly served: readonly string[]
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(
      `The configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    )
    this.faults = faults
  }
}

/**
 * @param environment the variables to read, normally `process.env`; unknown ones are ignored
 * @param overrides settings that win over the environment (tests, the launcher)
 * @throws ConfigError with every fault found
 */
export function loadConfig(
  environment: Record<string, string | undefined> = process.env,
  overrides: Partial<Record<keyof Environment, string>> = {},
): Config {
  const faults: string[] = []
  const given = Object.fromEntries(
    Object.entries({ ...environment, ...overrides }).filter(
      ([, value]) => value !== undefined && value !== '',
    ),
  )
  const parsed = environmentSchema.safeParse(given)
  if (!parsed.success) {
    faults.push(...issuesOf(parsed.error))
    throw new ConfigError(faults)
  }
  const { MILLRACE_MODELS: wanted, ...settings } = parsed.data
  faults.push(...relations(settings))
  const models = readModels(settings, faults)
  const served = wanted === '' ? [...models.keys()] : wanted.split(',').map((alias) => alias.trim())
  for (const alias of served) {
    if (models.size > 0 && !models.has(alias))
      faults.push(`MILLRACE_MODELS: no model '${alias}' in ${settings.MILLRACE_CONFIG}`)
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return Object.freeze({ ...settings, models, served: Object.freeze(served) })
}

function relations(settings: Omit<Environment, 'MILLRACE_MODELS'>): string[] {
  const faults: string[] = []
  if (settings.STALLED_CHECK_MS > settings.LOCK_MS)
    faults.push('STALLED_CHECK_MS: must not be larger than LOCK_MS')
  if (settings.QUEUE_REDIS_URL === settings.CACHE_REDIS_URL) {
    faults.push(
      'CACHE_REDIS_URL: must not be the queue Redis; a queue needs noeviction and a cache needs eviction',
    )
  }
  if (settings.JOB_DEADLINE_S > settings.JOB_TTL_S)
    faults.push('JOB_DEADLINE_S: must not be larger than JOB_TTL_S')
  return faults
}

function readModels(
  { MILLRACE_CONFIG: file, MODEL_DEVICE }: Pick<Environment, 'MILLRACE_CONFIG' | 'MODEL_DEVICE'>,
  faults: string[],
): Map<string, ModelConfig> {
  const models = new Map<string, ModelConfig>()
  let json: unknown
  try {
    json = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    faults.push(
      `MILLRACE_CONFIG: cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`,
    )
    return models
  }
  const parsed = modelsFileSchema.safeParse(json)
  if (!parsed.success) {
    faults.push(...issuesOf(parsed.error).map((issue) => `${file}: ${issue}`))
    return models
  }
  for (const [alias, entry] of Object.entries(parsed.data.models)) {
    const local = 'path' in entry
    models.set(
      alias,
      Object.freeze({
        alias,
        task: entry.task,
        dtype: entry.dtype,
        device: entry.device ?? MODEL_DEVICE,
        dir: local ? resolve(dirname(file), entry.path) : null,
        hub: local ? null : { id: entry.hub, revision: entry.revision },
      }),
    )
  }
  return models
}

function issuesOf(error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => sayIssue(issue, []))
}

/** A key's fault and a union's fault hide what is wrong inside them: that is what a user has to read. */
function sayIssue(issue: z.core.$ZodIssue, above: readonly PropertyKey[]): string[] {
  const path = [...above, ...issue.path]
  if (issue.code === 'invalid_key') return issue.issues.flatMap((inner) => sayIssue(inner, path))
  if (issue.code === 'invalid_union') {
    const [closest] = [...issue.errors].sort((a, b) => a.length - b.length)
    if (closest) return closest.flatMap((inner) => sayIssue(inner, path))
  }
  return [`${path.map(String).join('.') || '(top)'}: ${issue.message}`]
}
