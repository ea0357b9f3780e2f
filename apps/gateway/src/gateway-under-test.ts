/** For the tests of this app: gateways on two Redis of their own, spoken to over HTTP with a limit on every wait. */
import { loadConfig } from '@millrace/config'
import { cacheRedis, queueRedis, type RedisServer } from '@millrace/testkit'
import { type Gateway, type GatewayOverrides, startGateway } from './start-gateway.js'

export const model = 'all-MiniLM-L6-v2'
const millraceJson = new URL('../../../millrace.json', import.meta.url).pathname
/** A fleet with a model of every task. */
export const everyTask = {
  MILLRACE_CONFIG: new URL('../../../models/fixtures/millrace.json', import.meta.url).pathname,
}

type Settings = Record<string, string>

export class GatewayUnderTest {
  readonly queue: RedisServer
  readonly cacheServer: RedisServer
  readonly #settings: Settings
  readonly #gateways: Gateway[] = []

  private constructor(queue: RedisServer, cacheServer: RedisServer, settings: Settings) {
    this.queue = queue
    this.cacheServer = cacheServer
    this.#settings = settings
  }

  /** @param settings of its gateways, beside those that keep tests short */
  static async start(settings: Settings = {}, overrides: GatewayOverrides = {}): Promise<GatewayUnderTest> {
    const [queue, cacheServer] = await Promise.all([queueRedis(), cacheRedis()])
    const site = new GatewayUnderTest(queue, cacheServer, settings)
    await site.another({}, overrides)
    return site
  }

  /** The first one. */
  get gateway(): Gateway {
    const [first] = this.#gateways
    if (!first) throw new Error('no gateway was started')
    return first
  }

  /** One more gateway on the same Redis. */
  async another(more: Settings = {}, overrides: GatewayOverrides = {}): Promise<Gateway> {
    const gateway = await startGateway(this.settings(more), overrides)
    this.#gateways.push(gateway)
    return gateway
  }

  settings(more: Settings = {}) {
    return loadConfig(
      {},
      {
        MILLRACE_CONFIG: millraceJson,
        QUEUE_REDIS_URL: this.queue.url,
        CACHE_REDIS_URL: this.cacheServer.url,
        PORT: '0',
        LOG_LEVEL: 'silent',
        MAX_ITEMS: '8',
        MAX_INPUT_CHARS: '5000',
        BODY_LIMIT_BYTES: '20000',
        ADMIN_KEY: 'open sesame',
        STOP_TIMEOUT_MS: '5000',
        ...this.#settings,
        ...more,
      },
    )
  }

  async stop(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.close()))
    await Promise.all([this.queue.stop(), this.cacheServer.stop()])
  }

  call(path: string, init: RequestInit = {}, at: Pick<Gateway, 'url'> = this.gateway): Promise<Response> {
    return fetch(`${at.url}${path}`, { signal: AbortSignal.timeout(20_000), ...init })
  }

  /** POSTs JSON; a string is sent as it is. */
  send(path: string, body: unknown, headers: Settings = {}, at: Pick<Gateway, 'url'> = this.gateway) {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const sent = { 'content-type': 'application/json', ...headers }
    return this.call(path, { method: 'POST', headers: sent, body: text }, at)
  }

  post(body: unknown, headers: Settings = {}, at: Pick<Gateway, 'url'> = this.gateway): Promise<Response> {
    return this.send('/v1/jobs', body, headers, at)
  }

  /** Ids of the chunks that wait for a worker. */
  async waitingChunks(): Promise<string[]> {
    const client = this.queue.client()
    const waiting = await client.lrange(`{mr:${model}}:chunks:wait`, 0, -1)
    const prioritized = await client.zrange(`{mr:${model}}:chunks:prioritized`, '0', '-1')
    client.disconnect()
    return [...waiting, ...prioritized]
  }
}

/** JSON.parse's own type: what an answer holds is for the test to say. */
export const bodyOf = async (response: Response) => JSON.parse(await response.text())
