/**
 * What every engine must do, as tests: called by the test of each engine, the fake and the real. Never built, never
 * imported by anything but a test.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec, ItemExtra } from './engine.js'

export interface ConformanceSubject {
  readonly createEngine: CreateEngine
  readonly spec: EngineSpec
  /** Longest item to try, and ids that the model knows. */
  readonly maxTokens: number
  readonly vocabulary: number
  /** Most two vectors of one item may differ: rounding of another batch shape. */
  readonly tolerance: number
  /** Whether the model tells the two texts of a pair apart by token types. */
  readonly pairs?: boolean
  /** Whether an item may have several sequences. */
  readonly sequences?: boolean
  /** An id that every item must hold: put in its first place. */
  readonly firstId?: number
  /** What each item carries beside its ids. */
  readonly extra?: ItemExtra
  /** Of an engine whose items are no ids; default: as many ids as `length`, others for each seed. */
  readonly item?: (length: number, seed: number) => EncodedItem
}

export function engineConformance(name: string, subject: ConformanceSubject): void {
  const { createEngine, spec, maxTokens, vocabulary, tolerance } = subject
  /** Different ids for every seed, the same ones each time. */
  const idsOf = (length: number, seed: number): EncodedItem => ({
    ids: Int32Array.from({ length }, (_, place) =>
      place === 0 && subject.firstId !== undefined
        ? subject.firstId
        : 1 + ((seed * 7919 + place * 104729) % (vocabulary - 1)),
    ),
    ...(subject.extra === undefined ? {} : { extra: subject.extra }),
  })
  const item = subject.item ?? idsOf

  describe(`engine conformance: ${name}`, () => {
    let engine: Engine
    let facts: EngineFacts
    beforeAll(async () => {
      engine = createEngine(spec)
      facts = await engine.load()
    })
    afterAll(() => engine.close())

    const vectorOf = async (one: EncodedItem): Promise<Float32Array> => {
      const [vector] = await engine.run([one])
      if (vector === undefined) throw new Error('no vector')
      return vector
    }
    const expectClose = (a: Float32Array | undefined, b: Float32Array | undefined) => {
      // Where lengths vary, they are those of the item: the same alone and in company.
      expect(a).toHaveLength(facts.dimensions || (b?.length ?? 0))
      expect(b).toHaveLength(a?.length ?? 0)
      const largest = Math.max(...Array.from(a ?? [], (value, d) => Math.abs(value - (b?.[d] ?? 0))))
      expect(largest).toBeLessThanOrEqual(tolerance)
    }

    it('one item gives one vector of the announced length, all of it numbers', async () => {
      const vector = await vectorOf(item(7, 1))
      if (facts.dimensions > 0) expect(vector).toHaveLength(facts.dimensions)
      expect(vector.length).toBeGreaterThan(0)
      expect(vector.every(Number.isFinite)).toBe(true)
    })

    it('the same item gives the same vector, to the bit', async () => {
      expect(await vectorOf(item(9, 2))).toEqual(await vectorOf(item(9, 2)))
    })

    it('different items give different vectors', async () => {
      expect(await vectorOf(item(9, 3))).not.toEqual(await vectorOf(item(9, 4)))
    })

    it('an item gives the same vector alone and among items of other lengths, in the order of the batch', async () => {
      const batch = [item(3, 5), item(31, 6), item(1, 7), item(12, 8), item(3, 9)]
      const together = await engine.run(batch)
      expect(together).toHaveLength(batch.length)
      for (const [place, one] of batch.entries()) expectClose(together[place], await vectorOf(one))
      const reversed = await engine.run(batch.toReversed())
      for (const [place, vector] of reversed.toReversed().entries()) expectClose(vector, together[place])
    })

    if (subject.pairs === true) {
      it('token types make a difference, also among items without them', async () => {
        const plain = item(12, 14)
        const pair = { ...plain, typeOneFrom: 5 }
        const other = { ...plain, typeOneFrom: 8 }
        const [a, b, c] = await engine.run([plain, pair, other])
        expect(a).not.toEqual(b)
        expect(b).not.toEqual(c)
        expectClose(a, await vectorOf(plain))
        expectClose(b, await vectorOf(pair))
        expectClose((await engine.run([item(31, 15), pair]))[1], b)
      })
    }

    if (subject.sequences === true) {
      it('an item of several sequences gives what each of them gives, one after the other, whatever is beside it', async () => {
        const [a, b, c] = [item(9, 16), { ...item(5, 17), typeOneFrom: 2 }, item(30, 18)]
        const several: EncodedItem = { ...a, extra: { more: [b, c] } }
        const apart = await Promise.all([a, b, c].map(vectorOf))
        const one = Float32Array.from(apart.flatMap((vector) => [...vector]))
        expectClose(await vectorOf(several), one)
        const together = await engine.run([item(4, 19), several, item(64, 20), several])
        expect(together).toHaveLength(4)
        expectClose(together[1], one)
        expectClose(together[3], one)
        expectClose(together[0], await vectorOf(item(4, 19)))
      })
    }

    it('the longest item the model takes gives a vector, and the shortest', async () => {
      expect((await vectorOf(item(maxTokens, 10))).every(Number.isFinite)).toBe(true)
      expect((await vectorOf(item(1, 11))).every(Number.isFinite)).toBe(true)
    })

    it('each vector has a buffer of its own', async () => {
      const vectors = await engine.run([item(4, 12), item(4, 13)])
      for (const vector of vectors) expect(vector.buffer.byteLength).toBe(vector.byteLength)
      expect(vectors[0]?.buffer).not.toBe(vectors[1]?.buffer)
    })

    it('closing twice is fine, and so is closing before loading', async () => {
      const other = createEngine(spec)
      await other.close()
      await other.close()
    })
  })
}
