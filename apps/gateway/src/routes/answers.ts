/** How answers read in the API description: one entry per status, and the problem form for every fault. */
import { type ErrorCode, errorCodes, problemSchema } from '@millrace/contracts'

const requestIdHeader = {
  'X-Request-Id': { description: 'Of this request, also in the logs', schema: { type: 'string' as const } },
}
const retryAfterHeader = {
  'Retry-After': { description: 'Seconds, computed', schema: { type: 'integer' as const } },
}

/** The problem answers of a route, by status, each naming its codes. */
export function problems(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of [...codes, 'internal' as const]) {
    const { status } = errorCodes[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('. '),
        headers:
          status === 429 || status === 503 ? { ...requestIdHeader, ...retryAfterHeader } : requestIdHeader,
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  )
}
