/**
 * Environment and millrace.json, read once, checked together, frozen. Every fault is reported in one error, so that
 * a user mends them all at once.
 */
import { ConfigError, issuesOf } from './config-error.js'
import { type Environment, environmentSchema } from './environment.js'
import { type ModelConfig, modelConfigOf } from './model-config.js'
import { modelsFileSchema } from './models-file.js'
import { readModelsFile } from './models-file-on-disk.js'

/** The environment alone. */
export type Settings = Readonly<Omit<Environment, 'MILLRACE_MODELS'>>

export interface Config extends Settings {
  /** Every model of millrace.json, by alias. */
  readonly models: ReadonlyMap<string, ModelConfig>
  /** The aliases a worker of this configuration serves. */
  readonly served: readonly string[]
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
  const { MILLRACE_MODELS: wanted, ...settings } = readEnvironment(environment, overrides)
  const faults = relations(settings)
  const models = readModels(settings, faults)
  const served = wanted === '' ? [...models.keys()] : wanted.split(',').map((alias) => alias.trim())
  for (const alias of served) {
    if (models.size > 0 && !models.has(alias))
      faults.push(`MILLRACE_MODELS: no model '${alias}' in ${settings.MILLRACE_CONFIG}`)
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return Object.freeze({ ...settings, models, served: Object.freeze(served) })
}

/** The environment alone, for what changes millrace.json or makes it. @throws ConfigError with every fault found */
export function loadSettings(environment: Record<string, string | undefined> = process.env): Settings {
  const { MILLRACE_MODELS: _, ...settings } = readEnvironment(environment)
  const faults = relations(settings)
  if (faults.length > 0) throw new ConfigError(faults)
  return Object.freeze(settings)
}

function readEnvironment(
  environment: Record<string, string | undefined>,
  overrides: Partial<Record<keyof Environment, string>> = {},
): Environment {
  const given = Object.fromEntries(
    Object.entries({ ...environment, ...overrides }).filter(
      ([, value]) => value !== undefined && value !== '',
    ),
  )
  const parsed = environmentSchema.safeParse(given)
  if (!parsed.success) throw new ConfigError(issuesOf(parsed.error))
  return parsed.data
}

function relations(settings: Settings): string[] {
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

function readModels(settings: Settings, faults: string[]): Map<string, ModelConfig> {
  const models = new Map<string, ModelConfig>()
  try {
    const file = modelsFileSchema.parse(readModelsFile(settings.MILLRACE_CONFIG))
    for (const [alias, entry] of Object.entries(file.models)) {
      models.set(alias, modelConfigOf(alias, entry, settings))
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    faults.push(...error.faults)
  }
  return models
}
