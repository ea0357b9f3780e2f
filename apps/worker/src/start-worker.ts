/** The composition root of a worker: what is opened here is closed here, in reverse. Signals are main.ts' matter. */
import { ResultCache } from '@millrace/cache'
import type { Config } from '@millrace/config'
import { FleetRegistry, JobStore, onAhead, onCanceled, Subscriber, WebhookQueue } from '@millrace/jobs'
import { announceWorker } from './announce.js'
import { ChunksInHand } from './chunks-in-hand.js'
import type { Emit } from './events.js'
import { observe } from './observe.js'
import { type NewBatcher, newWorkerId, type ServedModel, serveModel } from './serve-model.js'
import { SettledTeller } from './tell-settled.js'

export interface Worker {
  readonly id: string
  /** Where metrics and health are served. */
  readonly url: string
  /** Resolves with the reason when this worker can no longer do its work and must be restarted. */
  readonly lost: Promise<Error>
  /** Finishes the batches in hand and gives the rest back, within STOP_TIMEOUT_MS. Twice is fine. */
  close(): Promise<void>
}

export interface WorkerOverrides {
  engineModule?: string
  newBatcher?: NewBatcher
  now?: () => number
  onEvent?: Emit
}

const proofEveryMs = 2000

/** @throws Error when a model cannot be loaded or a Redis setting makes losing jobs certain */
export async function startWorker(config: Config, overrides: WorkerOverrides = {}): Promise<Worker> {
  const now = overrides.now ?? Date.now
  const id = newWorkerId()
  const startedAtMs = now()
  const closers: (() => Promise<void> | void)[] = []
  const close = once(async () => {
    for (const closer of closers.reverse()) await closer()
  })
  let lose: (error: Error) => void = () => {}
  const lost = new Promise<Error>((resolve) => {
    lose = resolve
  })
  const served: ServedModel[] = []
  const state = { ready: false, stopping: false }
  const observed = await observe({ config, workerId: id, state, served })
  closers.push(observed.close)
  const emit: Emit = (event) => {
    observed.emit(event)
    overrides.onEvent?.(event)
  }
  try {
    const url = config.QUEUE_REDIS_URL
    const store = await JobStore.connect({ url, role: 'worker', on: emit })
    closers.push(() => store.close())
    const cache = await ResultCache.connect({
      url: config.CACHE_REDIS_URL,
      lruBytes: 0,
      ttlS: config.RESULT_TTL_S,
      on: emit,
    })
    closers.push(() => cache.close())
    await sayFaults(store, cache, emit)
    const registry = await FleetRegistry.connect({ url, on: emit })
    closers.push(() => registry.close())
    const webhooks = await WebhookQueue.connect({ url, role: 'worker', on: emit })
    closers.push(() => webhooks.close())
    const subscriber = new Subscriber({ url, on: emit })
    closers.push(() => subscriber.close())
    const inHand = new ChunksInHand()
    onCanceled(subscriber, (jobId) => inHand.cancel(jobId))
    const cacheSubscriber = new Subscriber({ url: config.CACHE_REDIS_URL, role: 'cache', on: emit })
    closers.push(() => cacheSubscriber.close())
    onAhead(cacheSubscriber, id, (told) =>
      served.find(({ alias }) => alias === told.facts.model)?.ahead(told),
    )
    const teller = new SettledTeller(store, emit)
    for (const alias of config.served) {
      const model = config.models.get(alias)
      if (!model) throw new Error(`no model '${alias}' is configured`)
      const onModelLost = (error: Error) => {
        emit({ type: 'fatal', why: `model ${alias} cannot be run any more`, error })
        lose(error)
      }
      const { engineModule, newBatcher } = overrides
      const one = await serveModel({
        config,
        model,
        workerId: id,
        store,
        cache,
        teller,
        inHand,
        webhooks,
        now,
        emit,
        onModelLost,
        engineModule,
        newBatcher,
      })
      served.push(one)
      closers.push(() => one.close(config.STOP_TIMEOUT_MS))
    }
    // One model that is refused must not be found out while another is served.
    for (const model of served) model.start()
    const announcer = await announceWorker({ registry, workerId: id, models: served, startedAtMs, emit })
    closers.push(() => announcer.close())
    const proof = setInterval(() => {
      const silent = served.find((model) => model.silentMs() > config.CONSUME_PROOF_MS)
      if (!silent) return
      const error = new Error(`nothing was fetched for ${silent.alias} in ${config.CONSUME_PROOF_MS} ms`)
      emit({ type: 'fatal', why: 'this worker no longer consumes', error })
      lose(error)
    }, proofEveryMs)
    closers.push(() => clearInterval(proof))
    state.ready = true
    emit({ type: 'worker-ready', models: [...config.served], loadMs: now() - startedAtMs })
  } catch (error) {
    await close()
    throw error
  }
  return {
    id,
    url: observed.url,
    lost,
    close: () => {
      state.stopping = true
      return close()
    },
  }
}

/** Settings that lose or forget what they should not are said aloud; they are the operator's to mend. */
async function sayFaults(store: JobStore, cache: ResultCache, emit: Emit): Promise<void> {
  const faults = await Promise.all([
    store.healthy ? store.settingFaults() : [],
    cache.healthy ? cache.settingFaults() : [],
  ])
  for (const fault of faults.flat()) emit({ type: 'settings-fault', fault })
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work()
    return running
  }
}
