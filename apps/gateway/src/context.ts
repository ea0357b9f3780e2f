/** What every route may use. Made once by start-gateway.ts. */
import type { HttpBindings } from '@hono/node-server'
import type { ResultCache } from '@millrace/cache'
import type { Config } from '@millrace/config'
import type { ResultTexts } from '@millrace/job-view'
import type {
  ChunkQueues,
  DeliveryLog,
  JobList,
  JobStore,
  JobWatch,
  SettledChannel,
  Subscriber,
  WebhookQueue,
} from '@millrace/jobs'
import type { RateLimits, TenantStore } from '@millrace/tenants'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { Context as HonoContext } from 'hono'
import type { Emit } from './events.js'
import type { FleetView } from './fleet-view.js'
import type { MediaContext } from './media/media-inputs.js'
import type { Tenant } from './middleware/authenticate.js'
import type { SubmitContext } from './submit.js'

export interface GatewayContext {
  config: Config
  submit: SubmitContext
  cache: ResultCache
  store: JobStore
  queues: ChunkQueues
  list: JobList
  watch: JobWatch
  webhooks: WebhookQueue
  deliveries: DeliveryLog
  /** The one subscriber connection of this gateway. */
  subscriber: Subscriber
  channel: SettledChannel
  tenants: TenantStore
  limits: RateLimits
  /** @throws MillraceError webhook_refused where this address may not be called */
  checkWebhook: (url: string) => Promise<void>
  media: MediaContext
  fleet: FleetView
  texts: ResultTexts
  /** By alias; absent where this gateway has not the model's files. */
  tokenizers: ReadonlyMap<string, TextTokenizer>
  /** The Prometheus page of this process. */
  metrics: () => Promise<{ type: string; body: string }>
  /** Aborted when the gateway stops: open waits end, and are answered with the job as it is. */
  stopping: AbortSignal
  now: () => number
  emit: Emit
}

/** What middleware leaves for handlers. */
export interface Variables {
  requestId: string
  tenant: Tenant
}

export type GatewayEnv = { Variables: Variables; Bindings: Partial<HttpBindings> }
export type RequestContext = HonoContext<GatewayEnv>
