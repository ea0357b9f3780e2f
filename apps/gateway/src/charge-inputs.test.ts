import { writeMediaInput } from '@millrace/contracts'
import { expect, test } from 'vitest'
import { chargeInputs } from './charge-inputs.js'
import type { GatewayContext, RequestContext } from './context.js'

const budget = { limit: 100, remaining: 1, resetS: 1 }

async function charged(inputs: string[]): Promise<number> {
  const seen: number[] = []
  const request = { get: () => ({ name: 't', tokensPerMinute: 100 }), header: () => {}, env: {} }
  const consume = async (_: string, tokens: number) => {
    seen.push(tokens)
    return budget
  }
  const context = { limits: { consume } } as unknown as GatewayContext
  await chargeInputs(request as unknown as RequestContext, inputs, undefined, context)
  return seen[0] ?? Number.NaN
}

test('a file is charged one token per KiB of it, however short the string that stands for it', async () => {
  const file = (bytes: number) =>
    writeMediaInput({ kind: 'image', type: 'image/png', bytes, digest: 'x'.repeat(43) })
  expect(await charged([file(10_240)])).toBe(10)
  expect(await charged([file(1), 'four letters'])).toBe(1 + 3)
})
