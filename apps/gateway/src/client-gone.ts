/** When the client of a request is gone, so that nobody waits for nobody. */
import type { RequestContext } from './context.js'

/** Aborted when the connection closes before the answer is out. From Node's own event: the web Request's signal would first build that Request. */
export function clientGone(c: RequestContext): AbortSignal {
  const outgoing = c.env?.outgoing
  // There is none where the app is called without a server, in tests.
  if (!outgoing) return c.req.raw.signal
  const controller = new AbortController()
  // It may have left before anybody asked.
  if (outgoing.destroyed) controller.abort()
  // Also emitted once all is answered; then nobody listens, and an abort has its price.
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) controller.abort()
  })
  return controller.signal
}
