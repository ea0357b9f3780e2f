/** How the launcher learns that a gateway or worker does its work: the address it announces, then its /readyz. */
import type { ChildProcess } from 'node:child_process'
import { pause } from './pause.js'

const pollMs = 100
const answerTimeoutMs = 2000

/** Resolves with the address a forked gateway or worker announces (`{ type: 'listening', url }`). */
export function untilListening(child: ChildProcess, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    child.on('message', (message: unknown) => {
      if (typeof message !== 'object' || message === null) return
      if (!('type' in message) || message.type !== 'listening') return
      if ('url' in message && typeof message.url === 'string') resolve(reachable(message.url))
    })
  })
}

/** A wildcard address is for listening; one dials the loopback address instead. */
export function reachable(url: string): string {
  const address = new URL(url)
  if (address.hostname === '0.0.0.0') address.hostname = '127.0.0.1'
  if (address.hostname === '[::]') address.hostname = '[::1]'
  return address.origin
}

/**
 * Asks `<url>/readyz` until it answers 200.
 * @param onNotReady is told what it said instead: the body, or why there was no answer
 */
export async function untilReady(
  url: string,
  signal: AbortSignal,
  onNotReady: (said: string) => void = () => {},
): Promise<void> {
  while (!signal.aborted) {
    try {
      const answer = await fetch(`${url}/readyz`, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]),
      })
      const body = await answer.text()
      if (answer.status === 200) return
      onNotReady(`${answer.status} ${body}`)
    } catch (error) {
      onNotReady(error instanceof Error ? error.message : String(error))
    }
    await pause(pollMs, signal)
  }
  throw signal.reason
}
