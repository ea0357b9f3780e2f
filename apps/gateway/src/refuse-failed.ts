/** For answers that have no place for the failure of one input: it fails all, by its path. */
import { decodeResult, isErrorResult } from '@millrace/cache'
import { type FieldError, type ItemError, MillraceError } from '@millrace/contracts'
import { maxReportedFaults } from './error-response.js'

/** In the place of an item that a settled job has no result of. */
const notComputed: ItemError = { code: 'inference_failed', detail: 'this input was not computed' }

/**
 * @param pathOf of input i in the request
 * @throws MillraceError with the first failure's code
 */
export function refuseFailed(
  { slots, results }: { slots: readonly number[]; results: ReadonlyMap<number, Buffer> },
  pathOf: (i: number) => string,
): void {
  const errors: FieldError[] = []
  for (const [i, slot] of slots.entries()) {
    const error = errorOf(results.get(slot))
    if (error) errors.push({ path: pathOf(i), ...error })
    if (errors.length === maxReportedFaults) break
  }
  const [first] = errors
  if (first) throw new MillraceError(first.code, `${first.path}: ${first.detail}`, { errors })
}

function errorOf(bytes: Buffer | undefined): ItemError | undefined {
  if (!bytes) return notComputed
  if (!isErrorResult(bytes)) return undefined
  const result = decodeResult(bytes)
  return result.kind === 'error' ? result.error : undefined
}
