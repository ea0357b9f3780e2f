import { describe, expect, it } from 'vitest'
import { freshProgress } from './record.js'
import { decodeSettled, encodeSettled } from './settled-message.js'

const progress = { ...freshProgress(1, { startByMs: 1000, settleByMs: null }), status: 'succeeded' as const }
const jobs = [
  {
    jobId: 'é-1',
    progress,
    outputs: new Map([
      [0, Buffer.from('first')],
      [3, Buffer.alloc(0)],
    ]),
  },
  { jobId: 'b', progress, outputs: null },
  { jobId: 'c', progress, outputs: new Map([[1, Buffer.from([0, 255, 10])]]) },
]

describe('the settled message', () => {
  it('brings every job and every byte across', () => {
    expect(decodeSettled(encodeSettled(jobs), () => true)).toEqual(jobs)
  })

  it('cuts out only the jobs that are wanted, at their own places', () => {
    expect(decodeSettled(encodeSettled(jobs), (id) => id === 'c')).toEqual([jobs[2]])
  })
})
