/** Bodies as large as a gateway takes: refused, they must not keep others waiting. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { problemSchema } from '@millrace/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'

let site: GatewayUnderTest

beforeAll(async () => {
  site = await GatewayUnderTest.start({ BODY_LIMIT_BYTES: String(4 << 20) })
})
afterAll(() => site?.stop())

const fill = (entry: (i: number) => string) => {
  const entries: string[] = []
  for (let left = (4 << 20) - 500; left > 0; left -= (entries.at(-1)?.length ?? 0) + 1) {
    entries.push(entry(entries.length))
  }
  return entries.slice(0, -1).join(',')
}

test.each<[string, () => string]>([
  ['inputs that are numbers', () => `{"model":"${model}","inputs":[${fill(() => '1')}]}`],
  ['inputs that are empty', () => `{"model":"${model}","inputs":[${fill(() => '""')}]}`],
  ['metadata', () => `{"model":"${model}","input":"a","metadata":{${fill((i) => `"${i}":1`)}}}`],
  ['unknown fields', () => `{"model":"${model}","input":"a",${fill((i) => `"${i}":1`)}}`],
  ['one long text', () => `{"model":"${model}","input":"${'a '.repeat((2 << 20) - 300)}"}`],
])(
  '4 MB of %s is refused with at most 32 named faults, and blocks this process for less than 1 s',
  async (_name, body) => {
    const text = body()
    expect(text.length).toBeGreaterThan(4_000_000)
    const delay = monitorEventLoopDelay({ resolution: 10 })
    delay.enable()
    const response = await site.post(text)
    delay.disable()
    expect(delay.max / 1e6).toBeLessThan(1000)
    expect([400, 422]).toContain(response.status)
    const answer = await response.clone().text()
    expect(answer.length).toBeLessThan(20_000)
    const { errors } = problemSchema.parse(await bodyOf(response))
    expect(errors.length).toBeGreaterThan(0)
    expect(errors.length).toBeLessThanOrEqual(32)
    expect(await site.queue.client().keys('mr:*:record')).toEqual([])
  },
)
