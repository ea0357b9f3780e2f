/** What speech tasks share: what a recording costs, how it travels, and the recordings of the self-test. */
import { readMediaInput, writeMediaInput } from '@millrace/contracts'
import type { EncodedItem } from '../engine.js'
import { sineWav } from '../sine-wav.js'
import type { ModelInput, ModelTask } from './model-task.js'

/** How long a recording is, only its decoder knows; and none shares a forward pass with another. */
const cost = 256

/** @param rate samples per second */
export function soundInputs(rate: number): Required<Pick<ModelTask, 'maxTokens' | 'probe'>> {
  return { maxTokens: cost, probe: (_, place) => probeInput(place, rate) }
}

/** Without its bytes: what it weighs, while it waits. */
export function soundItem({ input, params, bytes }: Omit<ModelInput, 'truncate'>): EncodedItem {
  readMediaInput(input)
  const extra = { ...(params ? { params } : {}), ...(bytes ? { bytes } : {}) }
  return { ids: new Int32Array(), cost, extra }
}

function probeInput(place: number, rate: number): ModelInput {
  const bytes = sineWav(0.2 + 0.1 * place, 300 + 110 * place, rate)
  const digest = 'self-test'.padEnd(43, '-')
  return {
    input: writeMediaInput({ kind: 'audio', type: 'audio/wav', bytes: bytes.length, digest }),
    truncate: false,
    bytes,
  }
}
