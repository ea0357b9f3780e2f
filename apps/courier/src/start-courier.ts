/** The composition root of a courier: what is opened here is closed here, in reverse. Signals are main.ts' matter. */
import { hostname } from 'node:os'
import type { Config } from '@millrace/config'
import { ChunkQueues, DeliveryLog, JobStore, JobWatch, WebhookConsumer, WebhookQueue } from '@millrace/jobs'
import { TenantStore } from '@millrace/tenants'
import { AddressGuard, type Resolve } from '@millrace/webhooks'
import { type DeliveryContext, deliverWebhook, type WebhookSecrets } from './deliver-webhook.js'
import { EndpointGate } from './endpoint-gate.js'
import type { Emit } from './events.js'
import { observe } from './observe.js'
import { Sweep } from './sweep.js'

export interface Courier {
  readonly id: string
  /** Where metrics and health are served. */
  readonly url: string
  /** Finishes the tries in hand and gives the rest back, within STOP_TIMEOUT_MS. Twice is fine. */
  close(): Promise<void>
}

export interface CourierOverrides {
  /** Default: those of the tenants' store. */
  secrets?: WebhookSecrets
  /** Default: the system's. */
  resolve?: Resolve
  /** Wait before each try. */
  delaysMs?: readonly number[]
  sendLimitMs?: number
  now?: () => number
  random?: () => number
  onEvent?: Emit
}

/** @throws the listen error of the metrics port */
export async function startCourier(config: Config, overrides: CourierOverrides = {}): Promise<Courier> {
  const id = `${hostname()}-${process.pid}-${Math.random().toString(36).slice(2, 6)}`
  const closers: (() => Promise<void> | void)[] = []
  const close = once(async () => {
    for (const closer of closers.reverse()) await closer()
  })
  const state = { ready: false, stopping: false }
  const observed = await observe({ config, courierId: id, state, onEvent: overrides.onEvent })
  closers.push(observed.close)
  const { emit } = observed
  try {
    const url = config.QUEUE_REDIS_URL
    const store = await JobStore.connect({ url, role: 'worker', on: emit })
    closers.push(() => store.close())
    if (store.healthy) {
      for (const fault of await store.settingFaults()) emit({ type: 'settings-fault', fault })
    }
    const log = await DeliveryLog.connect({ url, role: 'worker', on: emit })
    closers.push(() => log.close())
    const secrets = overrides.secrets ?? (await tenantSecrets(url, emit, closers))
    const context: DeliveryContext = {
      store,
      log,
      secrets,
      guard: new AddressGuard({
        allowCidrs: config.WEBHOOK_ALLOW_CIDRS,
        allowHttp: config.WEBHOOK_ALLOW_HTTP,
        ...(overrides.resolve ? { resolve: overrides.resolve } : {}),
      }),
      gate: new EndpointGate(),
      publicUrl: config.PUBLIC_URL,
      delaysMs: overrides.delaysMs,
      sendLimitMs: overrides.sendLimitMs,
      now: overrides.now ?? Date.now,
      random: overrides.random ?? Math.random,
      emit,
    }
    const consumer = new WebhookConsumer({
      url,
      courierId: id,
      concurrency: config.COURIER_CONCURRENCY,
      lockMs: config.LOCK_MS,
      stalledCheckMs: config.STALLED_CHECK_MS,
      handle: (data, attempt, stopping) => deliverWebhook(data, attempt, stopping, context),
      on: emit,
    })
    closers.push(() => consumer.close(config.STOP_TIMEOUT_MS))
    consumer.start()
    const webhooks = await WebhookQueue.connect({ url, role: 'worker', on: emit })
    closers.push(() => webhooks.close())
    const models = [...config.models.keys()]
    const queues = ChunkQueues.open({ store, models, attempts: config.CHUNK_ATTEMPTS })
    closers.push(() => queues.close())
    const now = overrides.now ?? Date.now
    const sweep = new Sweep({ store, queues, watch: new JobWatch(store), webhooks, log, now, emit })
    closers.push(() => sweep.close())
    state.ready = true
    emit({ type: 'courier-ready', courierId: id })
  } catch (error) {
    await close()
    throw error
  }
  return {
    id,
    url: observed.url,
    close: () => {
      state.stopping = true
      return close()
    },
  }
}

async function tenantSecrets(
  url: string,
  emit: Emit,
  closers: (() => Promise<void> | void)[],
): Promise<WebhookSecrets> {
  const tenants = await TenantStore.connect({ url, role: 'courier', on: emit })
  closers.push(() => tenants.close())
  return { secretsOf: (tenant) => tenants.webhookSecrets(tenant) }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work()
    return running
  }
}
