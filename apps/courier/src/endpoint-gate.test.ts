import { describe, expect, it } from 'vitest'
import { EndpointGate } from './endpoint-gate.js'

const a = 'https://a.example'
const b = 'https://b.example'
const states = (gate: EndpointGate, count: number, nowMs: number, origin = a) =>
  Array.from({ length: count }, () => gate.enter(origin, nowMs).state)

/** Enters and leaves, as bad as told. */
function fail(gate: EndpointGate, count: number, nowMs: number) {
  return Array.from({ length: count }, () => {
    expect(gate.enter(a, nowMs).state).toBe('free')
    return gate.leave(a, 'bad', 10, nowMs)
  })
}

describe('an endpoint', () => {
  it('has at most 8 tries at a time, whatever others have', () => {
    const gate = new EndpointGate()
    expect(states(gate, 9, 0)).toEqual([...Array(8).fill('free'), 'busy'])
    expect(states(gate, 1, 0, b)).toEqual(['free'])
    gate.leave(a, 'good', 10, 0)
    expect(states(gate, 2, 0)).toEqual(['free', 'busy'])
  })

  it('gives a place back also after a fault of ours, which says nothing about it', () => {
    const gate = new EndpointGate({ limit: 1, failures: 1 })
    for (let i = 0; i < 3; i++) {
      expect(gate.enter(a, 0).state).toBe('free')
      expect(gate.leave(a, 'none', 10, 0)).toBeUndefined()
    }
  })

  it('that is busy has who is put off come back one after the other, at its own pace and within a minute', () => {
    const gate = new EndpointGate({ limit: 2 })
    states(gate, 2, 0)
    const delays = () => {
      const pass = gate.enter(a, 0)
      return pass.state === 'free' ? 0 : pass.delayMs
    }
    expect([delays(), delays(), delays()]).toEqual([125, 250, 375])
    for (let i = 0; i < 1000; i++) delays()
    expect(delays()).toBe(60_000)
  })
})

describe('an endpoint that fails', () => {
  it('5 times in a row rests for 30 s; then one probe is let through', () => {
    const gate = new EndpointGate()
    expect(fail(gate, 5, 1000)).toEqual([undefined, undefined, undefined, undefined, 'rests'])
    const pass = gate.enter(a, 1000)
    expect(pass.state).toBe('resting')
    expect(pass).toMatchObject({ delayMs: expect.closeTo(30_000, -3) })
    expect(states(gate, 1, 30_999)).toEqual(['resting'])
    expect(states(gate, 3, 31_000)).toEqual(['free', 'resting', 'resting'])
  })

  it('is open to all again when the probe went well', () => {
    const gate = new EndpointGate()
    fail(gate, 5, 0)
    gate.enter(a, 30_000)
    expect(gate.leave(a, 'good', 10, 30_010)).toBe('works')
    expect(states(gate, 3, 30_010)).toEqual(['free', 'free', 'free'])
  })

  it('rests again, and that is no news, when the probe went badly', () => {
    const gate = new EndpointGate()
    fail(gate, 5, 0)
    gate.enter(a, 30_000)
    expect(gate.leave(a, 'bad', 10, 31_000)).toBeUndefined()
    expect(states(gate, 1, 60_999)).toEqual(['resting'])
    expect(states(gate, 1, 61_000)).toEqual(['free'])
  })

  it('is probed again when the probe said nothing', () => {
    const gate = new EndpointGate()
    fail(gate, 5, 0)
    gate.enter(a, 30_000)
    expect(gate.leave(a, 'none', 10, 30_010)).toBeUndefined()
    expect(states(gate, 2, 30_020)).toEqual(['free', 'resting'])
  })

  it('now and then, with good answers between, does not rest', () => {
    const gate = new EndpointGate()
    for (let round = 0; round < 3; round++) {
      expect(fail(gate, 4, 0)).toEqual(Array(4).fill(undefined))
      gate.enter(a, 0)
      gate.leave(a, 'good', 10, 0)
    }
  })

  it('does not trouble another one', () => {
    const gate = new EndpointGate()
    fail(gate, 5, 0)
    expect(states(gate, 1, 0, b)).toEqual(['free'])
  })
})

it('endpoints met long ago are forgotten, those in hand never', () => {
  const gate = new EndpointGate({ limit: 1 })
  gate.enter(a, 0)
  for (let i = 0; i < 20_000; i++) {
    gate.enter(`https://${i}.example`, 0)
    gate.leave(`https://${i}.example`, 'bad', 1, 0)
  }
  expect(states(gate, 1, 0)).toEqual(['busy'])
  expect(gate.size).toBeLessThanOrEqual(10_000)
})
