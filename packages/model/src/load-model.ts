/**
 * A model, loaded: its files checked, its version known, its processes up, its self-test passed. The composition root
 * of this package and all that a worker uses of it.
 */
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import type { Device, ModelFacts } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { EncodedItem, EngineSpec, RunHooks } from './engine.js'
import type { ModelEvent } from './events.js'
import type { KnownFiles } from './known-files.js'
import { ModelProcess } from './model-process.js'
import { modelVersion } from './model-version.js'
import type { BatchOutcome } from './open-batch.js'
import { checkPinned } from './pinned-digest.js'
import { ProcessPool } from './process-pool.js'
import { type ModelPlace, readModel } from './read-model.js'
import { probeDifference, probeItems, toleratedDifference } from './self-test.js'
import { type StartOn, startMapped } from './start-mapped.js'
import type { LoadedTask, ModelInput, TaskResult } from './tasks/index.js'

export interface LoadModelOptions extends ModelPlace {
  /** What its files must be, checked before anything is run: `sha256:` and 64 digits (see `digestModel`). */
  readonly digest?: string | null | undefined
  readonly processes: number
  /** Default `cpu`. */
  readonly device?: Device
  /** Intra-op threads of each process, on the CPU. */
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
  /** An item of this task that holds `text`, or where it cannot another one for each `place`: to try the model with. */
  probe(text: string, place?: number): EncodedItem
  /** What a forward pass needs of an input. @throws MillraceError for what this model cannot take */
  encode(input: ModelInput): EncodedItem
  /**
   * Outcomes in the order of the batch; never rejects for what an input does.
   * @throws MillraceError `shutting_down` after close; Error when no model process can be started any more
   */
  runBatch(batch: readonly EncodedItem[], hooks?: RunHooks): Promise<BatchOutcome>
  /** What the numbers that `runBatch` gave for an item mean. */
  resultOf(output: Float32Array, item: EncodedItem, input: ModelInput): TaskResult
  /** Reads along while an item is computed; undefined where items do not grow. */
  readonly follow?: LoadedTask['follow']
  /** Model processes that are up now. */
  pids(): number[]
  /** Lets the batches in hand finish within `limitMs` (default: the batch time limit), with `force` not at all. Twice is fine. */
  close(options?: { force?: boolean; limitMs?: number }): Promise<void>
}

/**
 * @throws ModelDigestError where the files are not those that are pinned
 * @throws Error that says what is missing, broken or refused; nothing is left running then
 */
export async function loadModel(options: LoadModelOptions): Promise<LoadedModel> {
  const on = safely(options.on)
  const device = options.device ?? 'cpu'
  const { dir, source, revision, task, files } = await readModel(options, {
    onnx: options.engineModule === undefined,
    on,
  })
  const { alias, dtype, digest: pinned, dataDir } = options
  if (pinned != null) await checkPinned({ alias, dir, dtype, pinned, files: files.digests, dataDir })
  const { tokenizer, output, maxTokens = tokenizer?.maxTokens ?? 1 } = task
  const engineModule = options.engineModule ?? builtInEngine(task.engine)
  const spec: EngineSpec = {
    dir,
    dtype: options.dtype,
    task: options.task,
    output,
    padTokenId: tokenizer?.padTokenId ?? 0,
    device,
    threads: options.threads,
    options: options.engineOptions ?? {},
  }
  const { batchTimeoutMs, loadTimeoutMs = 120_000 } = options
  const start: StartOn = (wanted, signal) => {
    const started = () =>
      ModelProcess.start({ engineModule, spec: wanted, loadTimeoutMs, batchTimeoutMs }, signal)
    // The prepared file is a copy under the digests of what it was made of.
    return wanted.prepared === undefined ? startUnchanged(files, started) : started()
  }
  // Another's engine may have no file that could be mapped, and weights on a GPU are in its own memory.
  const mapped = options.mappedWeights === true && options.engineModule === undefined && device === 'cpu'
  const probes = mapped ? probeItems(task) : []
  const preparing = { engineModule, spec, probes, files, dataDir, limitMs: loadTimeoutMs }
  const pool = await ProcessPool.start({
    processes: options.processes,
    startAttempts: 3,
    backoffMs: (attempt) => Math.min(1000, 10 * 2 ** attempt),
    start: mapped ? await startMapped(preparing, start, on) : (signal) => start(spec, signal),
    on,
  }).catch((error: unknown) => {
    throw device === 'cpu' ? error : new Error(deviceRefusal(options.alias, device, error), { cause: error })
  })
  try {
    // Tokenizer and settings, too, were read of what was digested.
    await files.assertUnchanged()
    const alone = pool.facts?.oneAtATime === true
    if (alone) pool.limitItems(1)
    const difference = await probeDifference(pool, task)
    const mode = alone || difference > toleratedDifference ? 'one_at_a_time' : 'batched'
    on({ type: 'self-test', difference, mode })
    if (mode === 'one_at_a_time' && !alone) {
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
        device,
        output,
        engine: basename(engineModule).replace(/\.[a-z]+$/, ''),
        files: files.digests,
      }),
      dtype: options.dtype,
      device,
      max_tokens: maxTokens,
      batching: { mode, probe_difference: difference },
    }
    return {
      facts,
      tokenizer,
      slots: pool.slots,
      maxBatchItems: mode === 'one_at_a_time' ? 1 : undefined,
      probe: (text, place = 0) => task.encode(task.probe(text, place)),
      encode: (input) => task.encode(input),
      runBatch: (batch, hooks) => pool.run(batch, hooks),
      resultOf: (output, item, input) => loaded.resultOf(output, item, input),
      ...(loaded.follow === undefined ? {} : { follow: loaded.follow }),
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

/** What a process has loaded is what was digested: looked at before, to say why not, and after, to be sure. */
async function startUnchanged(files: KnownFiles, start: () => Promise<ModelProcess>): Promise<ModelProcess> {
  await files.assertUnchanged()
  const process = await start()
  try {
    await files.assertUnchanged()
    return process
  } catch (error) {
    process.kill()
    throw error
  }
}

function refusal(alias: string, difference: number): string {
  return (
    `The model '${alias}' gives a text another result in a batch than alone (difference ${difference}); ` +
    'strict batching refuses it. Use another dtype, or allow it to run one item at a time.'
  )
}

function deviceRefusal(alias: string, device: Device, cause: unknown): string {
  const why = cause instanceof Error ? cause.message : String(cause)
  return `The model '${alias}' is to run on '${device}' (\`device\` in millrace.json, or MODEL_DEVICE). ${why}`
}

/** A listener that throws must not disturb the model. */
function safely(on: LoadModelOptions['on']): (event: ModelEvent) => void {
  return (event) => {
    try {
      on?.(event)
    } catch {}
  }
}
