import type { LoadedModel, MeasureOptions } from '@millrace/model'
import { describe, expect, it } from 'vitest'
import { type BatchSettings, batchPolicy } from './batch-policy.js'

const settings: BatchSettings = { dataDir: '/data', threads: 2 }

function decide(
  change: Partial<BatchSettings>,
  model: { device?: 'cpu' | 'cuda'; maxBatchItems?: number } = {},
  found: { area: number; tokensPerS: number; kept: boolean } | Error = {
    area: 128,
    tokensPerS: 2140,
    kept: false,
  },
) {
  const asked: MeasureOptions[] = []
  const loaded = {
    facts: { device: model.device ?? 'cpu' },
    maxBatchItems: model.maxBatchItems,
  } as LoadedModel
  const decision = batchPolicy(loaded, { ...settings, ...change }, async (_, options) => {
    asked.push(options)
    if (found instanceof Error) throw found
    return found
  })
  return decision.then((one) => ({ ...one, asked }))
}

describe('the size of batches', () => {
  it('is the usual one on the CPU, without measuring', async () => {
    const { limits, policy, says, asked } = await decide({})
    expect(limits).toEqual({ maxArea: 256, maxItems: 32, lookahead: 64 })
    expect(policy).toEqual({ max_padded_tokens: 256, max_items: 32, found: 'usual', tokens_per_s: null })
    expect(says).toBe('batches of up to 256 padded tokens and 32 items (as is usual on the CPU)')
    expect(asked).toEqual([])
  })

  it('is what was set, on any device', async () => {
    for (const device of ['cpu', 'cuda'] as const) {
      const { limits, policy, says, asked } = await decide({ tokens: 4096, items: 100 }, { device })
      expect(limits).toMatchObject({ maxArea: 4096, maxItems: 100, lookahead: 200 })
      expect(policy).toMatchObject({ found: 'set', tokens_per_s: null })
      expect(says).toBe('batches of up to 4,096 padded tokens and 100 items (as set)')
      expect(asked).toEqual([])
    }
  })

  it('is measured where `auto` is set, with the threads and items that will run', async () => {
    const { limits, policy, says, asked } = await decide({ tokens: 'auto', items: 16 })
    expect(asked).toEqual([{ dataDir: '/data', threads: 2, maxItems: 16, maxArea: 1024 }])
    expect(limits).toMatchObject({ maxArea: 128, maxItems: 16 })
    expect(policy).toEqual({ max_padded_tokens: 128, max_items: 16, found: 'measured', tokens_per_s: 2140 })
    expect(says).toBe(
      'batches of up to 128 padded tokens and 16 items (2,140 tokens/s in one model process, measured just now)',
    )
  })

  it('that was measured before is told apart', async () => {
    const { policy, says } = await decide({ tokens: 'auto' }, {}, { area: 64, tokensPerS: 9, kept: true })
    expect(policy.found).toBe('kept')
    expect(says).toContain('measured at an earlier start on this machine')
  })

  it('falls back to the usual one where it cannot be measured, and says why', async () => {
    const { limits, policy, says } = await decide(
      { tokens: 'auto' },
      {},
      new Error('the machine is too busy'),
    )
    expect(limits.maxArea).toBe(256)
    expect(policy).toMatchObject({ found: 'unmeasured', tokens_per_s: null })
    expect(says).toContain('could not be measured: the machine is too busy')
  })

  it('of a GPU is measured unless it is set, up to far larger areas, and a pass there is dear', async () => {
    const { limits, asked } = await decide(
      {},
      { device: 'cuda' },
      { area: 16_384, tokensPerS: 1e6, kept: false },
    )
    expect(asked).toMatchObject([{ maxItems: 1024, maxArea: 32_768 }])
    expect(limits).toEqual({ maxArea: 16_384, maxItems: 1024, lookahead: 2048, passTokens: 492 })
    const unmeasured = await decide({}, { device: 'cuda' }, new Error('too slow'))
    expect(unmeasured.limits.maxArea).toBe(8192)
  })

  it('does not matter for a model whose answers depend on company: one at a time, unmeasured', async () => {
    const { limits, says, asked } = await decide({ tokens: 'auto' }, { maxBatchItems: 1 })
    expect(limits.maxItems).toBe(1)
    expect(says).toBe('runs one item at a time (company would change its answers)')
    expect(asked).toEqual([])
  })

  it('of one item is not measured', async () => {
    const { policy, says, asked } = await decide({ tokens: 'auto', items: 1 })
    expect(policy).toMatchObject({ max_items: 1, found: 'set' })
    expect(says).toBe('runs one item at a time (as set)')
    expect(asked).toEqual([])
  })
})
