import { beforeEach, describe, expect, test } from 'vitest'
import type { StoredKey } from './api-key.js'
import { awayLimitMs, failedMs, freshMs, KeyRing, newKeyMs } from './key-ring.js'

const key = (id: string): StoredKey => ({
  id,
  tenant: 't',
  name: 'n',
  scopes: ['read'],
  tokensPerMinute: null,
  createdAtMs: 0,
  expiresAtMs: null,
  revokedAtMs: null,
  digest: '',
})

/** Counts what it is asked and fails on demand. */
class Source {
  keys = new Map<string, StoredKey>()
  current: string | null = null
  away = false
  asked = { version: 0, all: 0 }

  put(id: string) {
    this.keys = new Map(this.keys).set(id, key(id))
    this.current = `v${this.keys.size}`
  }
  async version() {
    this.asked.version += 1
    if (this.away) throw new Error('away')
    return this.current
  }
  async all() {
    this.asked.all += 1
    return this.keys
  }
}

let source: Source
let nowMs: number
let ring: KeyRing
beforeEach(() => {
  source = new Source()
  nowMs = 1_000_000
  ring = new KeyRing(source, () => nowMs)
})

describe('asking', () => {
  test('known keys are asked for once in 10 s, and read again only when one has changed', async () => {
    source.put('a')
    for (let i = 0; i < 100; i++) expect(await ring.get('a')).toBeDefined()
    nowMs += freshMs - 1
    await ring.get('a')
    expect(source.asked).toEqual({ version: 1, all: 1 })
    nowMs += 1
    await ring.get('a')
    expect(source.asked).toEqual({ version: 2, all: 1 })
    source.put('b')
    nowMs += freshMs
    await ring.get('a')
    expect(source.asked).toEqual({ version: 3, all: 2 })
  })

  test('a thousand guesses within 100 ms ask once, one after the other or all together', async () => {
    for (let i = 0; i < 500; i++) expect(await ring.get(`guess-${i}`)).toBeUndefined()
    await Promise.all(Array.from({ length: 500 }, (_, i) => ring.get(`guess-${i}`)))
    expect(source.asked.version).toBe(1)
    nowMs += newKeyMs
    await Promise.all(Array.from({ length: 500 }, (_, i) => ring.get(`guess-${i}`)))
    expect(source.asked.version).toBe(2)
  })

  test('a new key is found after 100 ms', async () => {
    expect(await ring.get('a')).toBeUndefined()
    source.put('a')
    nowMs += newKeyMs
    expect(await ring.get('a')).toBeDefined()
  })

  test('a clock that is set back makes nothing younger', async () => {
    source.put('a')
    await ring.get('a')
    nowMs -= 3_600_000
    await ring.get('a')
    expect(source.asked.version).toBe(2)
  })
})

describe('while the source is away', () => {
  test('a known key is found for 60 s, and then nobody can tell', async () => {
    source.put('a')
    await ring.get('a')
    source.away = true
    nowMs += awayLimitMs - 1
    expect(await ring.get('a')).toBeDefined()
    nowMs += 1
    await expect(ring.get('a')).rejects.toThrow('away')
    source.away = false
    nowMs += failedMs
    expect(await ring.get('a')).toBeDefined()
  })

  test('an unknown key is not called wrong', async () => {
    source.put('a')
    await ring.get('a')
    source.away = true
    nowMs += newKeyMs
    await expect(ring.get('b')).rejects.toThrow('away')
  })

  test('it is asked once a second, not by every request', async () => {
    source.away = true
    for (let i = 0; i < 100; i++) await expect(ring.get('a')).rejects.toThrow('away')
    expect(source.asked.version).toBe(1)
    nowMs += failedMs
    await expect(ring.get('a')).rejects.toThrow('away')
    expect(source.asked.version).toBe(2)
  })
})

describe('whether there are keys', () => {
  test('one that was made is enough for good, also when the source forgets', async () => {
    expect(await ring.any()).toBe(false)
    source.put('a')
    nowMs += freshMs
    expect(await ring.any()).toBe(true)
    source.current = null
    source.keys = new Map()
    nowMs += freshMs
    expect(await ring.get('a')).toBeUndefined()
    expect(await ring.any()).toBe(true)
  })

  test('none stays none while the source is away; one that never answered cannot tell', async () => {
    source.away = true
    await expect(ring.any()).rejects.toThrow('away')
    source.away = false
    nowMs += failedMs
    expect(await ring.any()).toBe(false)
    source.away = true
    nowMs += 3_600_000
    expect(await ring.any()).toBe(false)
  })
})
