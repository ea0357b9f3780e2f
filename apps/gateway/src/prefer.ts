/** How long a client is willing to wait: `Prefer: wait=N` (RFC 7240) or `?wait=N`. */

/**
 * Whole seconds between 0 and the limit; 0 where nothing usable was asked for. A preference that makes no sense is
 * ignored, as the RFC wants it.
 */
export function waitSeconds(prefer: string | undefined, query: string | undefined, limitS: number): number {
  const asked = query ?? prefer?.match(/(?:^|[,;\s])wait\s*=\s*"?(\d+)"?\s*(?:$|[,;])/i)?.[1]
  if (asked === undefined || !/^\d{1,9}$/.test(asked)) return 0
  return Math.min(Number(asked), limitS)
}
