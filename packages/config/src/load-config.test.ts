import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from './config-error.js'
import { configurationPage } from './configuration-page.js'
import { loadConfig } from './load-config.js'
import { modelsFileSchema } from './models-file.js'
import { modelsFileJsonSchema } from './models-schema.js'

let folder: string
const write = (name: string, content: unknown) => {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}
const faultsOf = (environment: Record<string, string>) => {
  try {
    loadConfig(environment)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  throw new Error('the configuration was taken')
}
let good: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-config-'))
  good = write('good.json', {
    models: { mini: { path: 'models/mini' }, hub: { hub: 'a/b', revision: 'a'.repeat(40) } },
  })
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a configuration', () => {
  it('has defaults for everything but the models', () => {
    const config = loadConfig({ MILLRACE_CONFIG: good })
    expect(config).toMatchObject({ HOST: '127.0.0.1', PORT: 8080, MAX_ITEMS: 2048, served: ['mini', 'hub'] })
    expect(config.models.get('mini')).toMatchObject({
      dir: join(folder, 'models/mini'),
      hub: null,
      dtype: 'q8',
    })
    expect(config.models.get('hub')).toMatchObject({
      dir: null,
      hub: { id: 'a/b', revision: 'a'.repeat(40) },
    })
  })

  it('treats an empty variable as not given, as compose files write them', () => {
    expect(loadConfig({ MILLRACE_CONFIG: good, PORT: '', BATCH_TOKENS: '' })).toMatchObject({ PORT: 8080 })
  })

  it('takes every default when it is written out, too', () => {
    const { models: _models, served: _served, ...defaults } = loadConfig({ MILLRACE_CONFIG: good })
    const spelled = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, String(value)]))
    expect(loadConfig(spelled)).toMatchObject(defaults)
  })

  it('runs models on the CPU, or where MODEL_DEVICE or their own `device` says', () => {
    const file = write('devices.json', {
      models: { plain: { path: 'a' }, own: { path: 'b', device: 'webgpu' } },
    })
    const devicesOf = (more: Record<string, string>) =>
      [...loadConfig({ MILLRACE_CONFIG: file, ...more }).models.values()].map(({ device }) => device)
    expect(devicesOf({})).toEqual(['cpu', 'webgpu'])
    expect(devicesOf({ MODEL_DEVICE: 'cuda' })).toEqual(['cuda', 'webgpu'])
    expect(faultsOf({ MILLRACE_CONFIG: file, MODEL_DEVICE: 'tpu' }).join()).toContain('MODEL_DEVICE')
  })

  it('takes a batch size, `auto`, or none', () => {
    const size = (BATCH_TOKENS: string) => loadConfig({ MILLRACE_CONFIG: good, BATCH_TOKENS }).BATCH_TOKENS
    expect([size(''), size('512'), size('auto')]).toEqual([undefined, 512, 'auto'])
  })

  it('takes a number of threads, or `auto`', () => {
    const threads = (MODEL_THREADS: string) =>
      loadConfig({ MILLRACE_CONFIG: good, MODEL_THREADS }).MODEL_THREADS
    expect([threads(''), threads('4'), threads('auto')]).toEqual([1, 4, 'auto'])
    expect(faultsOf({ MILLRACE_CONFIG: good, MODEL_THREADS: 'all' }).join()).toContain('MODEL_THREADS')
  })

  it('cannot be changed after it was read', () => {
    const config = loadConfig({ MILLRACE_CONFIG: good })
    expect(() => Object.assign(config, { PORT: 1 })).toThrow(TypeError)
  })

  it('serves what MILLRACE_MODELS names, and only that', () => {
    expect(loadConfig({ MILLRACE_CONFIG: good, MILLRACE_MODELS: 'hub' }).served).toEqual(['hub'])
  })
})

describe('the limits of a model', () => {
  const own = {
    batch_tokens: 512,
    batch_items: 8,
    batch_timeout_ms: 60_000,
    processes: 3,
    threads: 2,
    max_items: 16,
    max_chars: 500,
  }

  it('are those of the environment, but for what its own entry says', () => {
    const file = write('limits.json', {
      models: {
        plain: { path: 'x' },
        own: { path: 'x', limits: own },
        some: { path: 'x', limits: { threads: 4 } },
      },
    })
    const { models } = loadConfig({ MILLRACE_CONFIG: file, BATCH_TOKENS: '128', MODEL_PROCESSES: '2' })
    const plain = {
      batchTokens: 128,
      batchItems: undefined,
      batchTimeoutMs: 30_000,
      processes: 2,
      threads: 1,
      maxItems: 2048,
      maxChars: 100_000,
    }
    expect(models.get('plain')?.limits).toEqual(plain)
    expect(models.get('some')?.limits).toEqual({ ...plain, threads: 4 })
    expect(models.get('own')?.limits).toEqual({
      batchTokens: 512,
      batchItems: 8,
      batchTimeoutMs: 60_000,
      processes: 3,
      threads: 2,
      maxItems: 16,
      maxChars: 500,
    })
  })

  it.each([
    ['out of range', { batch_tokens: 0 }, 'models.m.limits.batch_tokens'],
    ['written as a text', { threads: '2' }, 'models.m.limits.threads'],
    ['unknown', { batch_token: 1 }, 'models.m.limits'],
  ])('are refused where one is %s, by its path', (name, limits, path) => {
    const file = write(`${name}.json`, { models: { m: { path: 'x', limits } } })
    expect(faultsOf({ MILLRACE_CONFIG: file }).join()).toContain(path)
  })
})

describe('a faulty configuration', () => {
  it('names every fault at once', () => {
    const faults = faultsOf({
      MILLRACE_CONFIG: good,
      PORT: 'eighty',
      BATCH_TOKENS: '0',
      QUEUE_REDIS_URL: 'http://x',
    })
    expect(faults.map((fault) => fault.split(':')[0])).toEqual(['PORT', 'QUEUE_REDIS_URL', 'BATCH_TOKENS'])
  })

  it.each(['redis://h', 'rediss://u:p@h:1/2', 'unix:///run/my%20redis.sock?db=2'])(
    'names a Redis by %s',
    (url) => {
      expect(loadConfig({ MILLRACE_CONFIG: good, QUEUE_REDIS_URL: url }).QUEUE_REDIS_URL).toBe(url)
    },
  )

  it.each(['unix://run/redis.sock', 'unix:///', 'unix://', '/run/redis.sock'])(
    'names no Redis by %s',
    (url) => {
      const [fault] = faultsOf({ MILLRACE_CONFIG: good, QUEUE_REDIS_URL: url })
      expect(fault).toMatch(/^QUEUE_REDIS_URL: /)
    },
  )

  it('is refused where settings contradict each other', () => {
    const one = 'redis://127.0.0.1:1'
    const faults = faultsOf({
      MILLRACE_CONFIG: good,
      QUEUE_REDIS_URL: one,
      CACHE_REDIS_URL: one,
      LOCK_MS: '2000',
      STALLED_CHECK_MS: '3000',
      JOB_TTL_S: '20',
      JOB_DEADLINE_S: '30',
      MILLRACE_MODELS: 'nope',
    })
    expect(faults).toHaveLength(4)
    expect(faults.join()).toContain("no model 'nope'")
  })

  it.each([
    ['no file', 'absent.json', undefined, 'cannot read'],
    ['broken JSON', 'broken.json', '{', 'cannot read'],
    ['no model', 'empty.json', { models: {} }, 'name at least one model'],
    [
      'an unpinned hub model',
      'unpinned.json',
      { models: { m: { hub: 'a/b', revision: 'main' } } },
      'models.m',
    ],
    [
      'a digest that is none',
      'digest.json',
      { models: { m: { path: 'y', digest: 'sha256:12' } } },
      'models.m.digest',
    ],
    ['an alias that is a path', 'path.json', { models: { '../x': { path: 'y' } } }, 'alias'],
  ])('says what is wrong with millrace.json: %s', (_name, file, content, expected) => {
    const path = content === undefined ? join(folder, file) : write(file, content)
    expect(faultsOf({ MILLRACE_CONFIG: path }).join()).toContain(expected)
  })
})

it('docs/configuration.md says what the code reads', () => {
  const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  expect(page, 'run `npm run docs:config`').toBe(configurationPage())
})

describe('millrace.schema.json', () => {
  const committed = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8')

  it('is what the code reads, and millrace.json names it', () => {
    expect(committed('millrace.schema.json'), 'run `npm run docs:config`').toBe(modelsFileJsonSchema())
    expect(modelsFileSchema.parse(JSON.parse(committed('millrace.json'))).$schema).toBe(
      './millrace.schema.json',
    )
  })

  it('describes every field', () => {
    const undescribed: string[] = []
    const walk = (schema: unknown, path: string): void => {
      if (typeof schema !== 'object' || schema === null) return
      for (const [key, value] of Object.entries(schema)) {
        if (key !== 'properties') walk(value, `${path}/${key}`)
        else {
          for (const [name, field] of Object.entries<Record<string, unknown>>(value)) {
            if (typeof field.description !== 'string') undescribed.push(`${path}/${name}`)
            walk(field, `${path}/${name}`)
          }
        }
      }
    }
    const schema = JSON.parse(modelsFileJsonSchema())
    walk(schema, '')
    expect(undescribed).toEqual([])
    expect(Object.keys(schema.properties)).toEqual(['$schema', 'models'])
  })
})
