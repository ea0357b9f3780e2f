/** Admission with what this gateway knows of the fleet; a refusal is an event. */
import { MillraceError } from '@millrace/contracts'
import { admit } from './admission.js'
import type { SubmitContext } from './submit.js'

/**
 * Where a worker is needed and none is known the fleet is looked at again: one may have come since the last sample.
 * @param bytes of the files that the queue Redis is to hold for this job
 * @throws MillraceError queue_full, queue_memory, no_worker
 */
export async function admitOrSay(
  model: string,
  chunks: number,
  { fleet, limits, emit }: Pick<SubmitContext, 'fleet' | 'limits' | 'emit'>,
  bytes = 0,
): Promise<void> {
  if (limits.requireWorker && fleet.model(model).workers === 0) await fleet.refresh()
  try {
    const memory = fleet.memory && { ...fleet.memory, used: fleet.memory.used + bytes }
    admit(chunks, { ...fleet.model(model), memory }, limits)
  } catch (error) {
    if (error instanceof MillraceError) {
      emit({ type: 'refused', model, code: error.code, retryAfterS: error.retryAfterS ?? 0 })
    }
    throw error
  }
}
