/**
 * A model, loaded: its files checked, its version known, its processes up, its self-test passed. The composition root
 * of this package and all that a worker uses of it.
 */
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import type { ModelFacts, Task } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import { downloadModel } from './download-model.js'
import type { EncodedItem, EngineSpec } from './engine.js'
import type { ModelEvent } from './events.js'
import { findModelFiles } from './model-files.js'
import { ModelProcess } from './model-process.js'
import { digestFiles, modelVersion } from './model-version.js'
import type { BatchOutcome } from './open-batch.js'
import { ProcessPool } from './process-pool.js'
import { probeDifference, toleratedDifference } from './self-test.js'
import { type StartOn, startMapped } from './start-mapped.js'
import { type ModelInput, openTask, type TaskResult } from './tasks/index.js'

export interface LoadModelOptions {
  readonly alias: string
  readonly task: Task
  readonly dtype: string
  /** A local folder; or else `hub`. */
  readonly dir?: string | null
  /** Downloaded into `dataDir` unless it is there. */
  readonly hub?: { readonly id: string; readonly revision: string } | null
  readonly dataDir: string
  readonly processes: number
  /** Intra-op threads of each process. */
  readonly threads: number
  readonly batchTimeoutMs: number
  readonly loadTimeoutMs?: number
  /** Prepares the model in `dataDir` and lets every process map the same weights (default: each loads its own). */
  readonly mappedWeights?: boolean
  /** Refuse a model whose answers depend on its batch. */
  readonly strictBatching: boolean
  /** Another engine, by absolute path or file URL; its options; the ONNX file is then not asked for. */
  readonly engineModule?: string
  readonly engineOptions?: EngineSpec['options']
  readonly on?: (event: ModelEvent) => void
}

export interface LoadedModel {
  readonly facts: ModelFacts
  /** Of a task that reads or writes text. */
  readonly tokenizer: TextTokenizer | undefined
  /** How many batches may be in hand at once: one running and one ready per process. */
  readonly slots: number
  /** 1 where company changes answers; no limit otherwise. */
  readonly maxBatchItems: number | undefined
  /** What a forward pass needs of an input. @throws MillraceError for what this model cannot take */
  encode(input: ModelInput): EncodedItem
  /**
   * Outcomes in the order of the batch; never rejects for what an input does.
   * @throws MillraceError `shutting_down` after close; Error when no model process can be started any more
   */
  runBatch(batch: readonly EncodedItem[]): Promise<BatchOutcome>
  /** What the numbers that `runBatch` gave for an item mean. */
  resultOf(output: Float32Array, item: EncodedItem, input: ModelInput): TaskResult
  /** Model processes that are up now. */
  pids(): number[]
  /** Lets the batches in hand finish within `limitMs` (default: the batch time limit), with `force` not at all. Twice is fine. */
  close(options?: { force?: boolean; limitMs?: number }): Promise<void>
}

/** @throws Error that says what is missing, broken or refused; nothing is left running then */
export async function loadModel(options: LoadModelOptions): Promise<LoadedModel> {
  const on = safely(options.on)
  const { dir, source, revision } = await locate(options, on)
  const files = await findModelFiles(dir, options.dtype, {
    onnx: options.engineModule === undefined,
    task: options.task,
  })
  const task = await openTask(dir, options.task)
  const { tokenizer, output, maxTokens = tokenizer?.maxTokens ?? 1 } = task
  const engineModule = options.engineModule ?? builtInEngine(task.engine)
  const spec: EngineSpec = {
    dir,
    dtype: options.dtype,
    task: options.task,
    output,
    padTokenId: tokenizer?.padTokenId ?? 0,
    threads: options.threads,
    options: options.engineOptions ?? {},
  }
  const { batchTimeoutMs, loadTimeoutMs = 120_000 } = options
  const digests = await digestFiles(dir, [...new Set([...files, ...task.files])])
  const start: StartOn = (wanted, signal) =>
    ModelProcess.start({ engineModule, spec: wanted, loadTimeoutMs, batchTimeoutMs }, signal)
  // Another's engine may have no file that could be mapped.
  const mapped = options.mappedWeights === true && options.engineModule === undefined
  const preparing = { engineModule, spec, files: digests, dataDir: options.dataDir, limitMs: loadTimeoutMs }
  const pool = await ProcessPool.start({
    processes: options.processes,
    startAttempts: 3,
    backoffMs: (attempt) => Math.min(1000, 10 * 2 ** attempt),
    start: mapped ? await startMapped(preparing, start, on) : (signal) => start(spec, signal),
    on,
  })
  try {
    if (task.oneAtATime) pool.limitItems(1)
    const difference = await probeDifference(pool, task)
    const changed = difference > toleratedDifference
    const mode = changed || task.oneAtATime ? 'one_at_a_time' : 'batched'
    on({ type: 'self-test', difference, mode })
    if (changed) {
      if (options.strictBatching) throw new Error(refusal(options.alias, difference))
      pool.limitItems(1)
    }
    const loaded = task.loaded(pool.facts?.dimensions ?? 0)
    const facts: ModelFacts = {
      ...loaded.facts,
      version: modelVersion({
        source,
        revision,
        dtype: options.dtype,
        output,
        engine: basename(engineModule).replace(/\.[a-z]+$/, ''),
        files: digests,
      }),
      dtype: options.dtype,
      max_tokens: maxTokens,
      batching: { mode, probe_difference: difference },
    }
    return {
      facts,
      tokenizer,
      slots: pool.slots,
      maxBatchItems: mode === 'one_at_a_time' ? 1 : undefined,
      encode: (input) => task.encode(input),
      runBatch: (batch) => pool.run(batch),
      resultOf: (output, item, input) => loaded.resultOf(output, item, input),
      pids: () => pool.pids(),
      close: ({ force = false, limitMs = batchTimeoutMs } = {}) => pool.close({ force, limitMs }),
    }
  } catch (error) {
    await pool.close({ force: true })
    throw error
  }
}

/** Path of an engine of this package, to be given as `engineModule`. */
export function builtInEngine(name: string): string {
  return createRequire(import.meta.url).resolve(`@millrace/model/engines/${name}`)
}

async function locate(
  { alias, dir, hub, dataDir, dtype, task }: LoadModelOptions,
  on: (event: ModelEvent) => void,
): Promise<{ dir: string; source: string; revision: string }> {
  if (dir != null) return { dir, source: 'local', revision: '' }
  if (hub == null) throw new Error(`The model '${alias}' names neither a folder nor a hub id`)
  return {
    dir: await downloadModel({ ...hub, dtype, task, dataDir, on }),
    source: hub.id,
    revision: hub.revision,
  }
}

function refusal(alias: string, difference: number): string {
  return (
    `The model '${alias}' gives a text another result in a batch than alone (difference ${difference}); ` +
    'strict batching refuses it. Use another dtype, or allow it to run one item at a time.'
  )
}

/** A listener that throws must not disturb the model. */
function safely(on: LoadModelOptions['on']): (event: ModelEvent) => void {
  return (event) => {
    try {
      on?.(event)
    } catch {}
  }
}
