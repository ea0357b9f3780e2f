/**
 * Every environment variable Millrace reads: name, unit in the name, default, meaning. This list is the source of
 * docs/configuration.md. Nothing else in the project may read process.env.
 */
import { devices } from '@millrace/contracts'
import { z } from 'zod'
import { limitRanges } from './limit-ranges.js'

const int = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const cidrs = z
  .string()
  .default('')
  .transform((list) => list.split(',').flatMap((cidr) => cidr.trim() || []))
  .pipe(z.array(z.union([z.cidrv4(), z.cidrv6()])))
const redisUrl = z
  .url({ protocol: /^(rediss?|unix)$/, abort: true, error: 'must be redis://, rediss:// or unix://' })
  .refine(isWhole, 'must be the whole path of a Unix socket: unix:///run/redis/redis.sock')

/** `unix://run/redis.sock` would be a host named `run`. */
function isWhole(url: string): boolean {
  const { protocol, host, pathname } = new URL(url)
  return protocol !== 'unix:' || (host === '' && pathname.length > 1)
}

export const environmentSchema = z.object({
  HOST: z.string().min(1).default('127.0.0.1').describe('Address the gateway listens on'),
  PORT: int(0, 65535).default(8080).describe('Port the gateway listens on; 0 picks a free one'),
  METRICS_HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address of the metrics and health port of a worker or a courier'),
  METRICS_PORT: int(0, 65535)
    .default(0)
    .describe('Port of the metrics and health of a worker or a courier; 0 picks a free one'),
  QUEUE_REDIS_URL: redisUrl
    .default('redis://127.0.0.1:6390')
    .describe(
      'Redis for records and BullMQ: noeviction, AOF everysec; `redis://`, `rediss://`, or `unix:///path/of.sock`',
    ),
  CACHE_REDIS_URL: redisUrl
    .default('redis://127.0.0.1:6391')
    .describe('Redis for results and claims: allkeys-lfu, no persistence; named as the queue Redis is'),
  MILLRACE_CONFIG: z.string().min(1).default('millrace.json').describe('The file that names the models'),
  MILLRACE_MODELS: z
    .string()
    .default('')
    .describe('Aliases this worker serves, separated by commas; empty: every model of millrace.json'),
  MILLRACE_DATA_DIR: z
    .string()
    .min(1)
    .default('.millrace')
    .describe('Folder for downloaded models and local data'),
  HUB_URL: z
    .union([z.literal(''), z.url({ protocol: /^https?$/ })])
    .default('')
    .transform((url) => (url === '' || url.endsWith('/') ? url : `${url}/`))
    .describe('Where models of a hub are downloaded from: a mirror; empty: https://huggingface.co/'),
  ADMIN_KEY: z
    .string()
    .default('')
    .describe(
      'Key for /admin/queues (as the password of basic authentication); empty: loopback only, no key',
    ),
  KEYS_REQUIRED: flag.default(false).describe('An API key is needed even while none was made'),
  ALLOW_ANONYMOUS: flag
    .default(false)
    .describe(
      'Serves without keys also on a HOST that other machines reach; without keys it is 127.0.0.1 otherwise',
    ),
  DASHBOARD_WRITABLE: flag
    .default(false)
    .describe('Lets bull-board change queues; it only shows them otherwise'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Log level'),
  CACHE_SCOPE: z
    .enum(['tenant', 'shared'])
    .default('tenant')
    .describe('Who shares results: each tenant its own, or all (who asked what can then be told by timing)'),
  BODY_LIMIT_BYTES: int(1024, 1 << 28)
    .default(4 << 20)
    .describe('Largest request body'),
  MAX_ITEMS: int(...limitRanges.maxItems)
    .default(2048)
    .describe('Most items one job may hold'),
  MAX_INPUT_CHARS: int(...limitRanges.maxChars)
    .default(100_000)
    .describe('Most characters one input may hold'),
  MAX_IMAGE_BYTES: int(1024, 1 << 28)
    .default(10 << 20)
    .describe('Largest image file; in JSON it is a third longer, and the body has its own limit'),
  MAX_IMAGE_PIXELS: int(1024, 1 << 30)
    .default(32_000_000)
    .describe('Most pixels of an image, whatever the size of its file; decoded, one takes 4 bytes'),
  MAX_AUDIO_BYTES: int(1024, 1 << 28)
    .default(25 << 20)
    .describe('Largest audio file'),
  MAX_AUDIO_S: int(1, 86_400)
    .default(60)
    .describe('Longest recording: what a speech model needs of memory grows with its square'),
  JOB_MEDIA_BYTES: int(1024, 1 << 30)
    .default(32 << 20)
    .describe('Most bytes of images and recordings in one job, and the largest multipart body'),
  MEDIA_FETCH_TIMEOUT_MS: int(100, 300_000)
    .default(10_000)
    .describe('Longest time that fetching one image or recording may take'),
  MEDIA_ALLOW_CIDRS: cidrs.describe(
    'Ranges, separated by commas, that images and recordings may be fetched from although they are not public',
  ),
  MEDIA_ALLOW_HTTP: flag
    .default(false)
    .describe('Lets images and recordings be fetched from http addresses, not only https'),
  MAX_NEW_TOKENS: int(1, 1 << 20)
    .default(4096)
    .describe('Most tokens that a job may let a generating model write per input'),
  CHUNK_ITEMS: int(1, 1024).default(32).describe('Items that travel together as one BullMQ job'),
  JOB_TTL_S: int(10, 30 * 86_400)
    .default(3600)
    .describe('How long a job can be read after it was accepted or settled'),
  KNOWN_JOB_TTL_S: int(1, 86_400)
    .default(60)
    .describe('How long a job answered in full at submit can be read again'),
  WEBHOOK_JOB_TTL_S: int(10, 30 * 86_400)
    .default(48 * 3600)
    .describe('The same of a job with a webhook, if longer: its deliveries are tried for 36 hours'),
  JOB_DEADLINE_S: int(1, 7 * 86_400)
    .default(600)
    .describe('A job not taken by a worker this long after its submit expires'),
  WAIT_LIMIT_S: int(1, 300).default(60).describe('Longest `Prefer: wait=N` that is honoured'),
  QUEUE_LIMIT_CHUNKS: int(1, 10_000_000)
    .default(10_000)
    .describe('Chunks waiting above which a submit is refused'),
  REQUIRE_WORKER: flag
    .default(false)
    .describe(
      'Refuses a job of a model that no worker serves (503 `no_worker`); otherwise it is queued, and `queue.workers` is 0',
    ),
  QUEUE_MEMORY_LIMIT: z.coerce
    .number()
    .gt(0)
    .max(1)
    .default(0.8)
    .describe('Share of the queue Redis’ maxmemory above which a submit is refused'),
  LRU_BYTES: int(0, 2 ** 36)
    .default(64 << 20)
    .describe('In-process result cache of a gateway'),
  RESULT_TTL_S: int(1, 365 * 86_400)
    .default(7 * 86_400)
    .describe('How long a result may stay in the shared cache'),
  CLAIM_LEASE_MS: int(500, 600_000)
    .default(10_000)
    .describe('Lease of a claim; renewed while its item is computed'),
  LOCK_MS: int(1000, 600_000)
    .default(10_000)
    .describe('BullMQ lock of a chunk; renewed while it is worked on'),
  STALLED_CHECK_MS: int(500, 600_000)
    .default(5000)
    .describe('How often workers look for chunks of dead workers'),
  CHUNK_ATTEMPTS: int(1, 20).default(3).describe('Tries of a chunk before its items fail'),
  BATCH_TOKENS: z
    .union([z.literal('auto'), int(...limitRanges.batchTokens)])
    .optional()
    .describe(
      'Largest padded token area (longest × count) of a batch; `auto`: measured at the first start on a host; empty: 256 on the CPU, `auto` elsewhere',
    ),
  BATCH_ITEMS: int(...limitRanges.batchItems)
    .optional()
    .describe('Most items of a batch; empty: 32 on the CPU, 1024 elsewhere'),
  BATCH_TIMEOUT_MS: int(...limitRanges.batchTimeoutMs)
    .default(30_000)
    .describe('A model process busier than this with one batch, or with one token of a text, is killed'),
  MODEL_PROCESSES: int(...limitRanges.processes)
    .default(1)
    .describe('Model processes per model and worker'),
  MODEL_DEVICE: z
    .enum(devices)
    .default('cpu')
    .describe('Where models run that name no `device`: `cpu`, `cuda` or `webgpu`'),
  MODEL_THREADS: z
    .union([z.literal('auto'), int(...limitRanges.threads)])
    .default(1)
    .describe(
      'Intra-op threads of one model process on the CPU; `auto`: the CPU quota of this container, shared by the model processes of this worker',
    ),
  MAPPED_WEIGHTS: flag
    .default(true)
    .describe(
      'Prepares each model once in MILLRACE_DATA_DIR, so that all model processes share one copy of its weights',
    ),
  STRICT_BATCHING: flag
    .default(false)
    .describe('Refuse a model whose answers depend on its batch, instead of running it one item at a time'),
  STOP_TIMEOUT_MS: int(100, 600_000).default(25_000).describe('Longest graceful stop'),
  CONSUME_PROOF_MS: int(5000, 3_600_000)
    .default(30_000)
    .describe('A worker that has room but fetched nothing for this long while chunks wait exits'),
  WEBHOOK_ALLOW_CIDRS: cidrs.describe(
    'Ranges, separated by commas, that webhooks may call although they are not public',
  ),
  WEBHOOK_ALLOW_HTTP: flag.default(false).describe('Lets webhooks call http addresses, not only https'),
  PUBLIC_URL: z
    .union([z.literal(''), z.url({ protocol: /^https?$/ })])
    .default('')
    .transform((url) => url.replace(/\/+$/, ''))
    .describe('Where clients reach the gateway: the start of each `output_url` in a webhook'),
  COURIER_CONCURRENCY: int(1, 1024).default(32).describe('Deliveries one courier has under way at a time'),
})

export type Environment = z.infer<typeof environmentSchema>
