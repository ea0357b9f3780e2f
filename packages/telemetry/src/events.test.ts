import { expect, test } from 'vitest'
import { safeEmitter } from './events.js'

type Happened = { type: 'taken'; id: number } | { type: 'given' }

test('each event reaches every listener in order, absent ones are skipped', () => {
  const seen: string[] = []
  const emit = safeEmitter<Happened>([
    (event) => seen.push(`log ${event.type}`),
    undefined,
    (event) => seen.push(`count ${event.type}`),
  ])
  emit({ type: 'taken', id: 1 })
  expect(seen).toEqual(['log taken', 'count taken'])
  safeEmitter<Happened>(undefined)({ type: 'given' })
})

test('a listener that throws breaks neither the emitter nor its neighbours, and is told of once', () => {
  const told: unknown[] = []
  let reached = 0
  const broken = () => {
    throw new Error('broken')
  }
  const emit = safeEmitter<Happened>([broken, () => void reached++], (error, type) =>
    told.push([String(error), type]),
  )
  emit({ type: 'given' })
  emit({ type: 'given' })
  expect(reached).toBe(2)
  expect(told).toEqual([['Error: broken', 'given']])
})

test('a listener whose promise rejects is told of, and is no unhandled rejection', async () => {
  const told = new Promise((resolve) => {
    const emit = safeEmitter<Happened>(async () => Promise.reject(new Error('late')), resolve)
    emit({ type: 'given' })
  })
  expect(await told).toEqual(new Error('late'))
})

test('not even a broken reporter breaks the emitter', () => {
  const emit = safeEmitter<Happened>(
    () => {
      throw new Error('first')
    },
    () => {
      throw new Error('second')
    },
  )
  expect(() => emit({ type: 'given' })).not.toThrow()
})
