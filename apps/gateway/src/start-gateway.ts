/** The composition root of a gateway: what is opened here is closed here, in reverse. Signals are main.ts' matter. */
import { setMaxListeners } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { ResultCache } from '@millrace/cache'
import type { Config } from '@millrace/config'
import { isMediaForm, taskContracts } from '@millrace/contracts'
import { ResultTexts } from '@millrace/job-view'
import {
  ChunkQueues,
  DeliveryLog,
  FleetRegistry,
  JobList,
  JobStore,
  JobWatch,
  SettledChannel,
  Subscriber,
  WebhookQueue,
} from '@millrace/jobs'
import { maskUrl, queueMetrics } from '@millrace/telemetry'
import { RateLimits, TenantStore } from '@millrace/tenants'
import { loadTextTokenizer, type TextTokenizer } from '@millrace/tokenizer'
import { AddressGuard } from '@millrace/webhooks/address-guard'
import { Ahead } from './ahead.js'
import { createApp } from './app.js'
import type { GatewayContext } from './context.js'
import type { Emit } from './events.js'
import { FleetView } from './fleet-view.js'
import { Gathering } from './gathering.js'
import { mediaContext } from './media/media-context.js'
import { isLoopback } from './middleware/admin-key.js'
import { observe } from './observe.js'

export interface Gateway {
  readonly url: string
  /** Takes no more requests, answers those it has within STOP_TIMEOUT_MS, and closes. Twice is fine. */
  close(): Promise<void>
}

export interface GatewayOverrides {
  now?: () => number
  onEvent?: Emit
}

/** Starts even while a Redis is away. @throws the listen error of the port */
export async function startGateway(config: Config, overrides: GatewayOverrides = {}): Promise<Gateway> {
  const now = overrides.now ?? Date.now
  const closers: (() => Promise<void> | void)[] = []
  const observed = observe(config)
  const emit: Emit = (event) => {
    observed.emit(event)
    overrides.onEvent?.(event)
  }
  const stopping = new AbortController()
  // One for each open event stream.
  setMaxListeners(0, stopping.signal)
  const url = config.QUEUE_REDIS_URL
  const models = [...config.models.keys()]
  const opened = <T extends { close(): Promise<void> | void }>(part: T): T => {
    closers.push(() => part.close())
    return part
  }
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= (async () => {
      stopping.abort()
      for (const closer of closers.reverse()) await closer()
    })()
    return closing
  }
  try {
    // The LRU of results and the texts written out beside it share one budget.
    const lruBytes = Math.floor(config.LRU_BYTES / 2)
    const subscriber = opened(new Subscriber({ url, on: emit }))
    const channel = opened(new SettledChannel(subscriber))
    const guard = new AddressGuard({
      allowCidrs: config.WEBHOOK_ALLOW_CIDRS,
      allowHttp: config.WEBHOOK_ALLOW_HTTP,
    })
    const [store, cache, registry, webhooks, deliveries, tenants, limiter, tokenizers] = await Promise.all([
      JobStore.connect({ url, role: 'gateway', on: emit }).then(opened),
      ResultCache.connect({
        url: config.CACHE_REDIS_URL,
        lruBytes,
        ttlS: config.RESULT_TTL_S,
        on: emit,
      }).then(opened),
      FleetRegistry.connect({ url, on: emit }).then(opened),
      WebhookQueue.connect({ url, role: 'gateway', on: emit }).then(opened),
      DeliveryLog.connect({ url, role: 'gateway', on: emit }).then(opened),
      TenantStore.connect({ url, role: 'gateway', now, on: emit }).then(opened),
      RateLimits.connect({ url: config.CACHE_REDIS_URL, on: emit }).then(opened),
      loadTokenizers(config, emit),
    ])
    const queues = opened(ChunkQueues.open({ store, models, attempts: config.CHUNK_ATTEMPTS }))
    const list = new JobList(store)
    const watch = new JobWatch(store)
    const fleet = opened(new FleetView({ models, registry, queues, store, now, emit }))
    await fleet.start()
    queueMetrics(observed.registry, {
      read: () =>
        Promise.all(models.map(async (model) => ({ model, ...(await queues.depth(model, now())) }))),
    })
    const context: GatewayContext = {
      config,
      cache,
      store,
      queues,
      list,
      watch,
      webhooks,
      deliveries,
      subscriber,
      channel,
      tenants,
      limits: limiter,
      checkWebhook: (url) => guard.assertCallable(url),
      media: mediaContext(config, stopping.signal),
      fleet,
      tokenizers,
      texts: new ResultTexts(config.LRU_BYTES - lruBytes),
      metrics: async () => ({ type: observed.registry.contentType, body: await observed.registry.metrics() }),
      stopping: stopping.signal,
      now,
      emit,
      submit: {
        chunkItems: config.CHUNK_ITEMS,
        jobTtlMs: config.JOB_TTL_S * 1000,
        knownJobTtlMs: config.KNOWN_JOB_TTL_S * 1000,
        webhookJobTtlMs: config.WEBHOOK_JOB_TTL_S * 1000,
        limits: {
          queueLimitChunks: config.QUEUE_LIMIT_CHUNKS,
          memoryLimit: config.QUEUE_MEMORY_LIMIT,
          deadlineS: config.JOB_DEADLINE_S,
          requireWorker: config.REQUIRE_WORKER,
        },
        cache,
        store,
        queues,
        list,
        watch,
        webhooks,
        fleet,
        gathering: new Gathering(),
        ahead: new Ahead(fleet, config.CLAIM_LEASE_MS, now),
        now,
        emit,
      },
    }
    const access = await accessFor(config, tenants, store.healthy)
    const app = createApp(context, observed, access.keysRequired)
    const server = await listen(app.fetch, access.host, config.PORT)
    closers.push(() => closeServer(server, config.STOP_TIMEOUT_MS))
    if (access.fault) emit({ type: 'settings-fault', fault: access.fault })
    await sayFaults(store, cache, emit)
    const { port } = server.address() as AddressInfo
    const host = access.host.includes(':') ? `[${access.host}]` : access.host
    observed.logger.info(
      {
        url: `http://${host}:${port}`,
        queueRedis: maskUrl(url),
        cacheRedis: maskUrl(config.CACHE_REDIS_URL),
      },
      'gateway listens',
    )
    return { url: `http://${host}:${port}`, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Only of models whose files are here; without them the worker alone finds out what is too long. */
async function loadTokenizers(config: Config, emit: Emit): Promise<Map<string, TextTokenizer>> {
  const tokenizers = new Map<string, TextTokenizer>()
  for (const { alias, dir, task } of config.models.values()) {
    if (dir === null || isMediaForm(taskContracts[task].input)) continue
    try {
      tokenizers.set(alias, await loadTextTokenizer(dir, task))
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error))
      emit({ type: 'tokenizer-missing', model: alias, error: fault })
    }
  }
  return tokenizers
}

function listen(
  fetch: Parameters<typeof serve>[0]['fetch'],
  hostname: string,
  port: number,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, hostname, port }, () => resolve(server as Server)) as Server
    server.once('error', reject)
  })
}

/** Idle connections go at once; those with a request in hand have until the limit. */
function closeServer(server: Server, limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => server.closeAllConnections(), limitMs)
    server.close(() => {
      clearTimeout(limit)
      resolve()
    })
    server.closeIdleConnections()
  })
}

interface Access {
  host: string
  keysRequired: boolean
  fault?: string
}

/**
 * Who may come in. On an address that others reach a key is needed, unless it is said that none is; and while there are
 * no keys nobody could come in there, so that the gateway listens on this machine alone.
 */
async function accessFor(config: Config, tenants: TenantStore, storeHealthy: boolean): Promise<Access> {
  const { HOST: host, ALLOW_ANONYMOUS: anonymous, KEYS_REQUIRED: always } = config
  if (isLoopback(host)) return { host, keysRequired: always }
  if (anonymous && !always) {
    return { host, keysRequired: false, fault: `ALLOW_ANONYMOUS: anyone who reaches ${host} may submit jobs` }
  }
  if (!storeHealthy || (await tenants.anyKeys())) return { host, keysRequired: true }
  const fault =
    `There are no API keys yet, so this gateway listens on 127.0.0.1 and not on ${host}. Create one ` +
    '(`millrace keys create`) and start it again, or set ALLOW_ANONYMOUS=true'
  return { host: '127.0.0.1', keysRequired: always, fault }
}

async function sayFaults(store: JobStore, cache: ResultCache, emit: Emit): Promise<void> {
  const faults = await Promise.all([
    store.healthy ? store.settingFaults() : [],
    cache.healthy ? cache.settingFaults() : [],
  ])
  for (const fault of faults.flat()) emit({ type: 'settings-fault', fault })
}
