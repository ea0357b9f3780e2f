import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Batch,
  type BatcherLimits,
  defaultPassTokens,
  MicroBatcher,
  maxPaddingRatio,
  oldestLeadsEvery,
  priorities,
} from './index.js'

interface Text {
  id: number
  tokens: number
}

const usual: BatcherLimits = { maxArea: 256, maxItems: 32, lookahead: 64 }

function batcherOf(lengths: readonly number[], limits: BatcherLimits = usual) {
  const batcher = new MicroBatcher<Text>(limits, () => 0)
  for (const [id, tokens] of lengths.entries()) batcher.add({ id, tokens }, tokens)
  return batcher
}

function drain(batcher: MicroBatcher<Text>): Batch<Text>[] {
  const batches: Batch<Text>[] = []
  for (let batch = batcher.take(); batch !== undefined; batch = batcher.take()) batches.push(batch)
  return batches
}

const lengthsOf = (batch: Batch<Text> | undefined) => batch?.items.map((item) => item.tokens)
const idsOf = (batch: Batch<Text> | undefined) => batch?.items.map((item) => item.id)
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

describe('the cut', () => {
  test('items of equal length fill a batch up to the area', () => {
    const batches = drain(batcherOf(Array.from({ length: 60 }, () => 20)))
    expect(batches.map((batch) => batch.items.length)).toEqual([12, 12, 12, 12, 12])
    expect(batches.map((batch) => batch.reason)).toEqual(['area', 'area', 'area', 'area', 'drained'])
  })

  test('short items of equal length fill a batch up to the item limit', () => {
    const batches = drain(batcherOf(Array.from({ length: 40 }, () => 4)))
    expect(batches.map((batch) => [batch.items.length, batch.reason])).toEqual([
      [32, 'items'],
      [8, 'drained'],
    ])
  })

  test('one item alone may pass the area, and takes nobody with it', () => {
    const batches = drain(batcherOf([500, 500]))
    expect(batches.map((batch) => [batch.items.length, batch.paddedTokens])).toEqual([
      [1, 500],
      [1, 500],
    ])
    expect(batches[0]?.reason).toBe('area')
  })

  test('two items too unlike in length run apart, though the area would hold both', () => {
    const batches = drain(batcherOf([20, 60]))
    expect(batches.map(lengthsOf)).toEqual([[20], [60]])
    expect(batches[0]?.reason).toBe('padding')
  })

  test('a neighbour joins while the padding it adds costs less than a forward pass', () => {
    expect(lengthsOf(batcherOf([40, 40 + defaultPassTokens]).take())).toEqual([40, 46])
    expect(lengthsOf(batcherOf([40, 41 + defaultPassTokens]).take())).toEqual([40])
    expect(lengthsOf(batcherOf([60, 60 - defaultPassTokens]).take())).toEqual([60, 54])
    expect(lengthsOf(batcherOf([60, 59 - defaultPassTokens]).take())).toEqual([60])
  })

  test('of two neighbours the one that adds less padding joins first', () => {
    const pairs = { ...usual, maxItems: 2 }
    expect(lengthsOf(batcherOf([20, 19, 22], pairs).take())).toEqual([20, 19])
    expect(lengthsOf(batcherOf([20, 18, 21], pairs).take())).toEqual([20, 21])
  })

  test('a longer neighbour is charged for the padding of all items before it', () => {
    expect(lengthsOf(batcherOf([40, 40, 40, 42]).take())).toEqual([40, 40, 40, 42])
    expect(lengthsOf(batcherOf([40, 40, 40, 43]).take())).toEqual([40, 40, 40])
  })

  test('the ratio bound holds even where a forward pass is dear', () => {
    const dear = { ...usual, passTokens: 1000 }
    expect(lengthsOf(batcherOf([10, 20], dear).take())).toEqual([10])
    expect(lengthsOf(batcherOf([16, 20], dear).take())).toEqual([16, 20])
  })

  test('a nearer neighbour that does not fit leaves the place to one that does', () => {
    expect(lengthsOf(batcherOf([8, 3, 13]).take())).toEqual([8, 13])
  })

  test('an item beyond the window joins no batch yet', () => {
    const batcher = batcherOf([20, 100, 20], { ...usual, lookahead: 2 })
    expect(idsOf(batcher.take())).toEqual([0])
    expect(drain(batcher).map(idsOf)).toEqual([[1], [2]])
  })
})

describe('a batch that is wanted only where it is full', () => {
  test('is the one that would have been taken anyway', () => {
    const lengths = Array.from({ length: 30 }, (_, id) => 20 + (id % 2))
    expect(batcherOf(lengths).takeFull()).toEqual(batcherOf(lengths).take())
  })

  test('is none where who comes might join: what waits is little, or too unlike', () => {
    expect(batcherOf(Array.from({ length: 12 }, () => 20)).takeFull()).toBeUndefined()
    expect(batcherOf([20, 100, 200]).takeFull()).toBeUndefined()
    expect(batcherOf([]).takeFull()).toBeUndefined()
  })

  test('stays where it was if it is none', () => {
    const batcher = batcherOf([20, 100, 200])
    batcher.takeFull()
    expect(drain(batcher).map(idsOf)).toEqual([[0], [1], [2]])
  })
})

describe('order', () => {
  test('the oldest item is in the next batch, whatever its length', () => {
    const batcher = batcherOf([250, ...Array.from({ length: 50 }, () => 20)])
    expect(idsOf(batcher.take())).toEqual([0])
  })

  test('items of equal length leave in the order they came, also on the short side of a batch', () => {
    const batcher = batcherOf([22, 20, 20, 20, 20, 20, 20], { ...usual, maxItems: 3 })
    expect(drain(batcher).map(idsOf)).toEqual([[0, 1, 2], [3, 4, 5], [6]])
  })

  test('a batch says how long its oldest item waited', () => {
    let clock = 1000
    const batcher = new MicroBatcher<string>(usual, () => clock)
    batcher.add('first', 10)
    clock = 1040
    batcher.add('second', 10)
    clock = 1050
    expect(batcher.take()).toMatchObject({ items: ['first', 'second'], waitedMs: 50 })
  })
})

describe('priorities', () => {
  const alone = { ...usual, maxItems: 1 }
  /** Letters in the order they are taken, one by one. */
  function order(...arrivals: [name: string, priority: number][]) {
    const batcher = new MicroBatcher<string>(alone, () => 0)
    for (const [name, priority] of arrivals) batcher.add(name, 10, priority)
    return Array.from({ length: batcher.size }, () => batcher.take()?.items[0]).join('')
  }

  test('the most urgent leads, and among equally urgent ones the oldest', () => {
    expect(order(['a', 9], ['b', 5], ['c', 0], ['d', 5], ['e', 0])).toBe('cebda')
  })

  test('every eighth take is led by the oldest of all', () => {
    const urgent = [...'cdefghijklmnopqrs'].map((name): [string, number] => [name, 0])
    expect(order(['a', 9], ['b', 8], ...urgent)).toBe('cdefghiajklmnopbqrs')
  })

  test('a less urgent neighbour of like length fills the batch of a more urgent one', () => {
    const batcher = new MicroBatcher<string>(usual, () => 0)
    batcher.add('low', 10, 9)
    batcher.add('urgent', 10, 0)
    batcher.add('other', 90, 0)
    expect(batcher.take()?.items).toEqual(['low', 'urgent'])
  })

  test('of equally long neighbours the more urgent joins first, shorter or longer than the leader', () => {
    for (const tokens of [9, 11]) {
      const batcher = new MicroBatcher<string>({ ...usual, maxItems: 2 }, () => 0)
      batcher.add('low', tokens, 9)
      batcher.add('leader', 10, 0)
      batcher.add('urgent', tokens, 1)
      expect(batcher.take()?.items).toEqual(['leader', 'urgent'])
    }
  })

  test('an urgent item is not kept out by a window full of others', () => {
    const batcher = new MicroBatcher<number>({ ...alone, lookahead: 2 }, () => 0)
    for (let id = 0; id < 20; id++) batcher.add(id, 10, 5)
    batcher.add(20, 300, 0)
    expect(batcher.take()?.items).toEqual([20])
  })

  test('no stream of urgent items keeps an item waiting', () => {
    const batcher = new MicroBatcher<string>(alone, () => 0)
    batcher.add('bulk', 10, 9)
    let takes = 0
    let taken: string | undefined
    while (taken !== 'bulk') {
      batcher.add('urgent', 10, 0)
      batcher.add('urgent', 10, 0)
      taken = batcher.take()?.items[0]
      takes += 1
    }
    expect(takes).toBe(oldestLeadsEvery)
  })
})

test('what is removed leaves no trace and comes back oldest first', () => {
  const batcher = batcherOf([30, 10, 20, 10, 40, 50], { ...usual, lookahead: 3 })
  expect(batcher.remove(({ tokens }) => tokens === 10 || tokens === 50).map(({ id }) => id)).toEqual([
    1, 3, 5,
  ])
  expect([batcher.size, batcher.tokens]).toEqual([3, 90])
  expect(drain(batcher).flatMap((batch) => idsOf(batch) ?? [])).toEqual([0, 2, 4])
  expect([batcher.size, batcher.tokens, batcher.take()]).toEqual([0, 0, undefined])
})

test('limits and lengths that make no sense are refused', () => {
  expect(() => new MicroBatcher({ ...usual, maxItems: 0 }, () => 0)).toThrow(RangeError)
  expect(() => new MicroBatcher({ ...usual, maxArea: Number.NaN }, () => 0)).toThrow(RangeError)
  expect(() => batcherOf([0])).toThrow(RangeError)
  expect(() => new MicroBatcher(usual, () => 0).add('x', 1, priorities)).toThrow(RangeError)
})

describe('for any order of arrivals, takes and removals', () => {
  const limits = fc.record({
    maxArea: fc.integer({ min: 1, max: 600 }),
    maxItems: fc.integer({ min: 1, max: 40 }),
    lookahead: fc.integer({ min: 1, max: 80 }),
    passTokens: fc.constantFrom(0, defaultPassTokens, 1000),
  })
  type Step = { add: number[]; priority: number } | { removeModulo: number } | 'take' | 'takeFull'
  const anyLengths = fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 30 })
  const alikeLengths = fc.array(fc.integer({ min: 18, max: 22 }), { maxLength: 30 })
  const priority = fc.oneof(fc.constant(0), fc.constant(9), fc.integer({ min: 0, max: priorities - 1 }))
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ add: anyLengths, priority }) },
    { weight: 3, arbitrary: fc.record({ add: alikeLengths, priority }) },
    { weight: 6, arbitrary: fc.constant('take' as const) },
    { weight: 3, arbitrary: fc.constant('takeFull' as const) },
    { weight: 1, arbitrary: fc.record({ removeModulo: fc.integer({ min: 2, max: 7 }) }) },
  )
  const steps = fc.array(step, { maxLength: 30 })

  interface Waiting extends Text {
    priority: number
    /** The last take by which it has to be taken, if it is not removed before. */
    dueTake: number
  }
  const queueOrder = (a: Waiting, b: Waiting) => a.priority - b.priority || a.id - b.id

  /** Runs the steps, then takes until nothing waits. Gives each batch with what waited before it, oldest first. */
  function play(of: BatcherLimits, script: readonly Step[]) {
    const batcher = new MicroBatcher<Waiting>(of, () => 0)
    const taken: { batch: Batch<Waiting>; before: Waiting[] }[] = []
    let waiting: Waiting[] = []
    let added = 0
    const take = (onlyFull = false) => {
      const before = waiting
      const full = onlyFull ? batcher.takeFull() : undefined
      const batch = full ?? batcher.take()
      if (onlyFull && batch) expect(['area', 'items'].includes(batch.reason)).toBe(full !== undefined)
      if ((batch === undefined) !== (before.length === 0))
        throw new Error('a take is empty-handed or out of nothing')
      if (batch === undefined) return
      taken.push({ batch, before })
      const ids = new Set(batch.items)
      waiting = before.filter((item) => !ids.has(item))
      if (waiting.length + batch.items.length !== before.length) throw new Error('taken twice or never added')
    }
    for (const one of script) {
      if (one === 'take' || one === 'takeFull') take(one === 'takeFull')
      else if ('add' in one) {
        for (const tokens of one.add) {
          const dueTake = taken.length + oldestLeadsEvery * (waiting.length + 1)
          const item = { id: added++, tokens, priority: one.priority, dueTake }
          batcher.add(item, tokens, one.priority)
          waiting.push(item)
        }
      } else {
        const match = ({ id }: Text) => id % one.removeModulo === 0
        expect(batcher.remove(match)).toEqual(waiting.filter(match))
        waiting = waiting.filter((item) => !match(item))
      }
      expect([batcher.size, batcher.tokens]).toEqual([
        waiting.length,
        sum(waiting.map(({ tokens }) => tokens)),
      ])
    }
    while (waiting.length > 0) take()
    expect([batcher.size, batcher.tokens, batcher.take()]).toEqual([0, 0, undefined])
    return taken
  }

  test('no item is lost, taken twice or taken after it was removed, and size and tokens are exact', () => {
    fc.assert(fc.property(limits, steps, (of, script) => void play(of, script)))
  })

  test('each batch holds the oldest of the most urgent, every eighth the oldest of all', () => {
    fc.assert(
      fc.property(limits, steps, (of, script) => {
        for (const [index, { batch, before }] of play(of, script).entries()) {
          const oldestsTurn = (index + 1) % oldestLeadsEvery === 0
          const [leader] = oldestsTurn ? before : before.toSorted(queueOrder)
          expect(batch.items).toContain(leader)
          expect(batch.items).toEqual(batch.items.toSorted((a, b) => a.id - b.id))
        }
      }),
    )
  })

  test('no item starves: with n older ones it is taken by the 8(n+1)th take at the latest', () => {
    fc.assert(
      fc.property(limits, steps, (of, script) => {
        for (const [index, { batch }] of play(of, script).entries())
          for (const { dueTake } of batch.items) expect(index + 1).toBeLessThanOrEqual(dueTake)
      }),
    )
  })

  test('nobody joins a batch from beyond the window', () => {
    fc.assert(
      fc.property(limits, steps, (of, script) => {
        for (const { batch, before } of play(of, script)) {
          const queue = before.toSorted(queueOrder)
          const beyond = batch.items.filter((item) => queue.indexOf(item) >= of.lookahead)
          // The leader itself, where it is the oldest's turn.
          expect(beyond.length).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  test('area, item and padding bounds hold, and the numbers of a batch are those of its items', () => {
    fc.assert(
      fc.property(limits, steps, (of, script) => {
        for (const { batch } of play(of, script)) {
          const lengths = batch.items.map((item) => item.tokens)
          expect(batch.realTokens).toBe(sum(lengths))
          expect(batch.paddedTokens).toBe(Math.max(...lengths) * lengths.length)
          expect(lengths.length).toBeLessThanOrEqual(of.maxItems)
          expect(batch.paddedTokens).toBeLessThanOrEqual(batch.realTokens * maxPaddingRatio)
          if (lengths.length > 1) expect(batch.paddedTokens).toBeLessThanOrEqual(of.maxArea)
          const padding = batch.paddedTokens - batch.realTokens
          expect(padding).toBeLessThanOrEqual(of.passTokens * (lengths.length - 1))
        }
      }),
    )
  })

  test('among equals the first to come is the first to go', () => {
    fc.assert(
      fc.property(limits, steps, (of, script) => {
        const last = new Map<string, number>()
        for (const { batch } of play(of, script)) {
          for (const { id, tokens, priority: level } of batch.items) {
            expect(id).toBeGreaterThan(last.get(`${level} ${tokens}`) ?? -1)
            last.set(`${level} ${tokens}`, id)
          }
        }
      }),
    )
  })
})

describe('a stream of mixed lengths', () => {
  /** A fixed stream (Lehmer generator): the same lengths in each run. */
  function mixedLengths(low: number, high: number) {
    let state = 42
    return () => {
      state = (state * 48_271) % 2_147_483_647
      return low + (state % (high - low + 1))
    }
  }

  /** Always `inHand` items waiting, as a closed loop keeps it. */
  function run(low: number, high: number, inHand: number) {
    const length = mixedLengths(low, high)
    const batcher = new MicroBatcher<number>(usual, () => 0)
    const total = { real: 0, padded: 0, items: 0, batches: 0 }
    while (total.items < 10_000) {
      while (batcher.size < inHand) {
        const tokens = length()
        batcher.add(tokens, tokens)
      }
      const batch = batcher.take()
      total.real += batch?.realTokens ?? 0
      total.padded += batch?.paddedTokens ?? 0
      total.items += batch?.items.length ?? 0
      total.batches++
    }
    return { ratio: total.padded / total.real, itemsPerBatch: total.items / total.batches }
  }

  test.each([{ inHand: 4 }, { inHand: 16 }, { inHand: 64 }, { inHand: 1000 }])(
    'of 5 to 250 tokens is padded by less than a fiftieth with $inHand in hand',
    ({ inHand }) => {
      expect(run(5, 250, inHand).ratio).toBeLessThan(1.02)
    },
  )

  test('of 5 to 40 tokens shares its passes well and is padded by less than a tenth', () => {
    const { ratio, itemsPerBatch } = run(5, 40, 64)
    expect(ratio).toBeLessThan(1.1)
    expect(itemsPerBatch).toBeGreaterThan(8)
  })
})
