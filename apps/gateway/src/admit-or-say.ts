/** Admission with what this gateway knows of the fleet; a refusal is an event. */
import { MillraceError } from '@millrace/contracts'
import { admit } from './admission.js'
import type { SubmitContext } from './submit.js'

/** @throws MillraceError queue_full, queue_memory */
export function admitOrSay(
  model: string,
  chunks: number,
  { fleet, limits, emit }: Pick<SubmitContext, 'fleet' | 'limits' | 'emit'>,
): void {
  try {
    admit(chunks, { ...fleet.model(model), memory: fleet.memory }, limits)
  } catch (error) {
    if (error instanceof MillraceError) {
      emit({ type: 'refused', model, code: error.code, retryAfterS: error.retryAfterS ?? 0 })
    }
    throw error
  }
}
