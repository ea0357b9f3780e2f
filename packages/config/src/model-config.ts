/** One model of the fleet, resolved: its folder, and each of its limits from its own entry or else the environment. */
import { dirname, resolve } from 'node:path'
import type { Device } from '@millrace/contracts'
import type { Environment } from './environment.js'
import type { ModelEntry } from './models-file.js'

/** What may differ between models. Nobody else looks at both the entry and the environment. */
export interface ModelLimits {
  /** Padded token area of a batch, and its items; undefined: as is usual on the device. */
  readonly batchTokens: number | 'auto' | undefined
  readonly batchItems: number | undefined
  readonly batchTimeoutMs: number
  /** Model processes of each worker, and the threads of each. */
  readonly processes: number
  readonly threads: number | 'auto'
  /** Of a job, and characters of one input: the gateway refuses more. */
  readonly maxItems: number
  readonly maxChars: number
}

/** `dir` is null for a hub model: the worker downloads it. */
export interface ModelConfig {
  readonly alias: string
  readonly task: ModelEntry['task']
  readonly dtype: ModelEntry['dtype']
  readonly device: Device
  readonly dir: string | null
  readonly hub: { readonly id: string; readonly revision: string } | null
  /** What its files must be: `sha256:` and 64 hexadecimal digits; null: whatever they are. */
  readonly digest: string | null
  readonly limits: ModelLimits
}

type LimitSettings = Pick<
  Environment,
  | 'MILLRACE_CONFIG'
  | 'BATCH_TOKENS'
  | 'BATCH_ITEMS'
  | 'BATCH_TIMEOUT_MS'
  | 'MODEL_DEVICE'
  | 'MODEL_PROCESSES'
  | 'MODEL_THREADS'
  | 'MAX_ITEMS'
  | 'MAX_INPUT_CHARS'
>

export function modelConfigOf(alias: string, entry: ModelEntry, settings: LimitSettings): ModelConfig {
  const local = 'path' in entry
  return Object.freeze({
    alias,
    task: entry.task,
    dtype: entry.dtype,
    device: entry.device ?? settings.MODEL_DEVICE,
    dir: local ? resolve(dirname(settings.MILLRACE_CONFIG), entry.path) : null,
    hub: local ? null : Object.freeze({ id: entry.hub, revision: entry.revision }),
    digest: entry.digest ?? null,
    limits: limitsOf(entry.limits ?? {}, settings),
  })
}

function limitsOf(own: NonNullable<ModelEntry['limits']>, settings: LimitSettings): ModelLimits {
  return Object.freeze({
    batchTokens: own.batch_tokens ?? settings.BATCH_TOKENS,
    batchItems: own.batch_items ?? settings.BATCH_ITEMS,
    batchTimeoutMs: own.batch_timeout_ms ?? settings.BATCH_TIMEOUT_MS,
    processes: own.processes ?? settings.MODEL_PROCESSES,
    threads: own.threads ?? settings.MODEL_THREADS,
    maxItems: own.max_items ?? settings.MAX_ITEMS,
    maxChars: own.max_chars ?? settings.MAX_INPUT_CHARS,
  })
}
