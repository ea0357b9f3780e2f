/** When nobody waits for an answer any more, so that nobody waits for nobody: the client is gone, or the process stops. */
import type { RequestContext } from './context.js'

/** Of requests that are open, by the signal of the process' end. */
const openWaits = new WeakMap<AbortSignal, Set<AbortController>>()

/**
 * Aborted when the connection closes before the answer is out, and when `stopping` is. By hand: in Node 20 AbortSignal.any
 * leaves something behind on `stopping` for each request, which only a full collection clears.
 */
export function clientGone(c: RequestContext, stopping: AbortSignal): AbortSignal {
  // From Node's own event: the web Request's signal would first build that Request.
  const outgoing = c.env?.outgoing
  // There is none where the app is called without a server, in tests.
  if (!outgoing) return AbortSignal.any([c.req.raw.signal, stopping])
  const controller = new AbortController()
  // Either may have come before anybody asked.
  if (outgoing.destroyed || stopping.aborted) {
    controller.abort()
    return controller.signal
  }
  const waits = waitsUntil(stopping)
  waits.add(controller)
  // Also emitted once all is answered; then nobody listens, and an abort has its price.
  outgoing.once('close', () => {
    waits.delete(controller)
    if (!outgoing.writableFinished) controller.abort()
  })
  return controller.signal
}

/** One listener for all: a signal looks through all it has for each one that comes or goes. */
function waitsUntil(stopping: AbortSignal): Set<AbortController> {
  const known = openWaits.get(stopping)
  if (known) return known
  const waits = new Set<AbortController>()
  openWaits.set(stopping, waits)
  stopping.addEventListener('abort', () => {
    for (const wait of waits) wait.abort()
  })
  return waits
}
