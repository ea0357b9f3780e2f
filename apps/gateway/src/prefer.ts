/** How long a client is willing to wait: `Prefer: wait=N` (RFC 7240) or `?wait=N`. */

import { fieldError } from '@millrace/contracts'

/**
 * Whole seconds between 0 and the limit; 0 where nothing was asked for. A preference that makes no sense is ignored, as
 * the RFC wants it; a parameter that makes none is a fault.
 * @throws MillraceError invalid_request
 */
export function waitSeconds(prefer: string | undefined, query: string | undefined, limitS: number): number {
  if (query !== undefined && !/^\d{1,9}$/.test(query)) {
    throw fieldError('invalid_request', 'wait', 'must be a whole number of seconds')
  }
  const asked = query ?? prefer?.match(/(?:^|[,;\s])wait\s*=\s*"?(\d+)"?\s*(?:$|[,;])/i)?.[1]
  if (asked === undefined || !/^\d{1,9}$/.test(asked)) return 0
  return Math.min(Number(asked), limitS)
}
