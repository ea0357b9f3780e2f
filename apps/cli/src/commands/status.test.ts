import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { commandRun } from '../stand-in/command-run.js'
import { type JobGateway, jobGateway } from '../stand-in/job-gateway.js'
import { statusCommand } from './status.js'

let gateway: JobGateway
beforeEach(async () => {
  gateway = await jobGateway()
})
afterEach(() => gateway.close())

async function run(...args: string[]) {
  const started = commandRun()
  const end = await started.end(statusCommand(started.io), [...args, '--url', gateway.url])
  return { ...end, out: started.out() }
}

const facts = {
  task: 'feature-extraction',
  dtype: 'q8',
  dimensions: 384,
  max_tokens: 256,
  batching: { mode: 'one_at_a_time', probe_difference: 0.1 },
}

describe('status', () => {
  test('shows health, and a line for each model, loaded or not', async () => {
    const model = { id: 'a-longer-name', task: 'feature-extraction', workers: 1, facts }
    gateway.models.push({ ...model, tokens_per_s: 10_400 })
    const { code, out } = await run()
    expect(code).toBe(0)
    expect(out).toBe(
      [
        'ready   queue Redis up   cache Redis up',
        '',
        'MODEL          WORKERS  TASK                DTYPE  NUMBERS  TOKENS  BATCHES        TOKENS/S',
        'm              2        feature-extraction  -      -        -       -              -',
        'a-longer-name  1        feature-extraction  q8     384      256     one at a time  10,400',
        '',
      ].join('\n'),
    )
  })

  test('shows each worker where it is asked to, and says where their versions differ', async () => {
    const serving = (id: string, version: string, tokens_per_s: number | null) => ({
      id,
      started_at: '2026-03-01T11:40:00.000Z',
      version: version.repeat(64),
      dtype: 'q8',
      batching: { mode: 'batched', tokens: 256, items: 32, timeout_ms: 30_000 },
      processes: 1,
      threads: 2,
      tokens_per_s,
    })
    const versions = [
      { version: 'a'.repeat(64), workers: 2 },
      { version: 'b'.repeat(64), workers: 1 },
    ]
    const served_by = [serving('w-1', 'a', 5300), serving('w-2', 'b', null)]
    gateway.models[0] = { id: 'm', task: 't', workers: 3, facts: null, versions, served_by }
    const { out } = await run('--workers')
    expect(out.split('\n').slice(4)).toEqual([
      '',
      'm runs at 2 versions: aaaaaaaaaaaa on 2 workers, bbbbbbbbbbbb on 1 worker',
      '',
      'WORKER  MODEL  VERSION       DTYPE  BATCHES  AREA  ITEMS  PROCESSES  THREADS  TOKENS/S  SINCE',
      'w-1     m      aaaaaaaaaaaa  q8     batched  256   32     1          2        5,300     2026-03-01T11:40:00.000Z',
      'w-2     m      bbbbbbbbbbbb  q8     batched  256   32     1          2        -         2026-03-01T11:40:00.000Z',
      '',
    ])
    expect((await run()).out).not.toContain('WORKER ')
  })

  test('shows whatever numbers a gateway says of the queues', async () => {
    gateway.models.push({
      id: 'n',
      task: 't',
      workers: 1,
      facts: null,
      queue: { waiting: 1234, items_per_s: 56.78 },
    })
    const [, , head, m, n] = (await run()).out.split('\n')
    expect(head).toMatch(/^MODEL {2}WORKERS {2}WAITING {2}ITEMS\/S {2}TASK/)
    expect(m).toMatch(/^m {6}2 {8}- {8}-/)
    expect(n).toMatch(/^n {6}1 {8}1,234 {4}56\.8/)
  })

  test('writes all of it as JSON for a script', async () => {
    const { out } = await run('--json')
    expect(JSON.parse(out)).toEqual({
      readiness: { ready: true, queue_redis: true, cache_redis: true },
      models: gateway.models,
    })
  })

  test('exits with 1 when the gateway is not ready', async () => {
    gateway.ready = false
    expect(await run()).toMatchObject({
      code: 1,
      out: expect.stringContaining('not ready   queue Redis down'),
    })
  })

  test('exits with 1 when there is no gateway, and says where it looked', async () => {
    await gateway.close()
    const { code, words } = await run()
    expect(code).toBe(1)
    expect(words).toContain('ECONNREFUSED')
  })

  test('at a terminal is drawn again over itself until Ctrl-C, which is 130', async () => {
    const live = commandRun({ terminal: true })
    const ending = live.end(statusCommand(live.io), ['--url', gateway.url, '--interval', '0.1'])
    await gateway.asked('/v1/models', 3)
    live.signals.emit('SIGINT')
    expect(await ending).toEqual({ code: 130, words: '' })
    expect(live.out().match(/MODEL/g)?.length).toBeGreaterThan(1)
    expect(live.out()).toContain('\x1b[6A\x1b[J')
  })

  test('at a terminal goes on when the gateway is away for a while', async () => {
    const live = commandRun({ terminal: true })
    gateway.models.length = 0
    gateway.models.push({ broken: true })
    const ending = live.end(statusCommand(live.io), ['--url', gateway.url, '--interval', '0.1'])
    await gateway.asked('/v1/models', 1)
    gateway.models[0] = { id: 'back', task: 't', workers: 1, facts: null }
    await gateway.asked('/v1/models', 3)
    live.signals.emit('SIGINT')
    await ending
    expect(live.out()).toMatch(/unexpected_answer[\s\S]*back/)
  })
})
