import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { configFaultExit, defaultRestartLimits, RestartPolicy } from './supervise.js'

let clock = 0
const policy = () => new RestartPolicy(defaultRestartLimits, () => clock)

beforeEach(() => {
  clock = 0
})

function crashAfter(ms: number, target: RestartPolicy, exitCode: number | null = 1) {
  target.ready()
  clock += ms
  return target.ended(exitCode)
}

describe('a process that was ready once', () => {
  test('is started again after 1 s, then twice as long each time, and never later than 30 s', () => {
    const target = policy()
    const delays = Array.from({ length: 8 }, () => crashAfter(100, target))
    expect(delays.map((verdict) => 'delayMs' in verdict && verdict.delayMs)).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ])
  })

  test('starts from 1 s again after a minute of health, not before', () => {
    const target = policy()
    crashAfter(100, target)
    crashAfter(100, target)
    expect(crashAfter(59_999, target)).toEqual({ action: 'restart', delayMs: 4000 })
    expect(crashAfter(60_000, target)).toEqual({ action: 'restart', delayMs: 1000 })
  })

  test('is never given up, whatever it ends with', () => {
    const codes = fc.array(fc.option(fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(codes, (exitCodes) => {
        const target = policy()
        target.ready()
        for (const code of exitCodes) expect(target.ended(code).action).toBe('restart')
      }),
    )
  })
})

describe('a process that was never ready', () => {
  test('is given up at once when it says that its configuration is wrong', () => {
    expect(policy().ended(configFaultExit)).toEqual({
      action: 'give_up',
      reason: 'its configuration is wrong',
    })
  })

  test('is tried four times, then given up', () => {
    const target = policy()
    const actions = Array.from({ length: 4 }, () => target.ended(1).action)
    expect(actions).toEqual(['restart', 'restart', 'restart', 'give_up'])
  })
})
