import { maxListedWorkers, type Serving } from '@millrace/contracts'
import type { WorkerAnnouncement } from '@millrace/jobs'
import { describe, expect, it } from 'vitest'
import type { GatewayEvent } from './events.js'
import { nobody, servingOf, VersionWatch } from './model-serving.js'
import { versionsWords } from './version-words.js'

const serving = (version: string, tokens_per_s: number | null = null): Serving => ({
  version,
  dtype: 'q8',
  batching: { mode: 'batched', tokens: 256, items: 32, timeout_ms: 30_000 },
  processes: 1,
  threads: 1,
  tokens_per_s,
})
const worker = (id: string, of: Serving, alias = 'm'): WorkerAnnouncement => ({
  id,
  startedAtMs: 1000,
  models: { [alias]: { chunksDone: 0, itemsDone: 0, serving: of } },
})

describe('who serves a model', () => {
  it('is nobody where no worker does', () => {
    expect(servingOf('m', [worker('a', serving('v'), 'other')])).toEqual(nobody)
  })

  it('is each worker with what it says, and all of them together', () => {
    const found = servingOf('m', [
      worker('a', serving('v1', 100)),
      worker('b', serving('v2')),
      worker('c', serving('v2', 50)),
    ])
    expect(found).toMatchObject({
      workers: 3,
      tokensPerS: 150,
      versions: [
        { version: 'v2', workers: 2 },
        { version: 'v1', workers: 1 },
      ],
    })
    expect(found.servedBy[0]).toEqual({
      id: 'a',
      started_at: '1970-01-01T00:00:01.000Z',
      ...serving('v1', 100),
    })
  })

  it('has no speed while no worker has one', () => {
    expect(servingOf('m', [worker('a', serving('v'))]).tokensPerS).toBeNull()
  })

  it('lists no more than so many workers, and counts all', () => {
    const many = Array.from({ length: maxListedWorkers + 7 }, (_, i) => worker(`w${i}`, serving('v')))
    const found = servingOf('m', many)
    expect(found.servedBy).toHaveLength(maxListedWorkers)
    expect(found).toMatchObject({ workers: many.length, versions: [{ workers: many.length }] })
  })
})

describe('versions that differ', () => {
  const one = [{ version: 'v1', workers: ['a'] }]
  const two = [...one, { version: 'v2', workers: ['b'] }]

  it('are told once, again when others differ, and once when they agree', () => {
    const events: GatewayEvent[] = []
    const watch = new VersionWatch((event) => events.push(event))
    const notes = [
      [],
      one,
      two,
      [...two].reverse(),
      [...two, { version: 'v3', workers: ['c'] }],
      [],
      one,
      one,
    ]
    for (const runs of notes) watch.note('m', runs)
    expect(events.map(({ type }) => type)).toEqual(['versions-differ', 'versions-differ', 'versions-agree'])
    expect(events[0]).toEqual({ type: 'versions-differ', model: 'm', versions: two })
    expect(events[2]).toEqual({ type: 'versions-agree', model: 'm', version: 'v1' })
  })

  it('are said in words that name the model, the versions and who runs them', () => {
    const many = { version: 'f'.repeat(64), workers: ['c', 'd', 'e', 'f', 'g', 'h', 'i'] }
    expect(versionsWords('m', [...one, many])).toMatch(
      /^workers run m at 2 versions: v1 on a; f{12} on c, d, e, f, g and 2 more\. /,
    )
  })
})
