/** A header of the answer, the cheap way: Node's own table. hono's would build a web Headers object for every request. */
import type { RequestContext } from './context.js'

export function setHeader(c: RequestContext, name: string, value: string): void {
  const outgoing = c.env?.outgoing
  // There is none where the app is called without a server, in tests.
  if (outgoing) outgoing.setHeader(name, value)
  else c.header(name, value)
}
