/** What a fleet lives through while it is watched: all that clients do, and what they should not. Bounded, and no flood. */
import { setTimeout as delay } from 'node:timers/promises'
import { call, freshTexts, jobOf, model, post } from '../api.js'

export interface Load {
  /** How often each kind of client was answered. */
  readonly counts: Readonly<Record<string, number>>
  /** Rejects with the first thing that goes wrong; never resolves while it runs. */
  readonly failed: Promise<unknown>
  /** Ends the load; resolves when the last answer is there. */
  stop(): Promise<void>
}

const waits = { prefer: 'wait=30' }

/** @param webhookUrl an endpoint of ours that some jobs are told to */
export function startLoad(url: string, webhookUrl: string): Load {
  const counts: Record<string, number> = {}
  const stopping = new AbortController()
  const body = (more: object) => ({ model, ...more })
  const text = (words: number) => freshTexts(1, words)[0]
  const words = () => between(7, 127)
  /** As a good client does, it comes again after a 429. */
  const accepted = async (more: object, headers: Record<string, string> = {}) => {
    for (;;) {
      const answer = await post(url, body(more), headers)
      if (answer.status !== 429) return jobOf(answer)
      await delay(500)
    }
  }
  const clients: Record<string, () => Promise<unknown>> = {
    'one text': () => accepted({ input: text(words()) }, waits),
    'a short text': () => accepted({ input: text(7) }, waits),
    'an array': () => accepted({ inputs: freshTexts(8) }, waits),
    'a hot text': async () => {
      await accepted({ input: 'What does the mill grind?' }, waits)
      await pause(20)
    },
    'a canceled job': async () => {
      const { id } = await accepted({ inputs: freshTexts(4) })
      await call(url, `/v1/jobs/${id}/cancel`, { method: 'POST' })
      await pause(300)
    },
    'a client that leaves': async () => {
      const init = { method: 'POST', headers: { 'content-type': 'application/json', ...waits } }
      const signal = AbortSignal.timeout(between(5, 55))
      const sent = fetch(new URL('/v1/jobs', url), {
        ...init,
        body: JSON.stringify(body({ input: text(60) })),
        signal,
      })
      await sent.then((answer) => answer.arrayBuffer()).catch(() => {})
      await pause(200)
    },
    'a stream that is cut': async () => {
      const { id } = await accepted({ input: text(30) })
      const signal = AbortSignal.timeout(between(10, 300))
      const sent = fetch(new URL(`/v1/jobs/${id}/events`, url), { signal })
      await sent.then((answer) => answer.arrayBuffer()).catch(() => {})
      await pause(300)
    },
    'a webhook': async () => {
      await accepted({ input: text(7), webhook: { url: webhookUrl } }, waits)
      await pause(300)
    },
    'a bad request': async () => {
      const { status } = await post(url, '{"model": ')
      if (status !== 400) throw new Error(`broken JSON was answered ${status}`)
      await pause(300)
    },
  }
  const pause = (ms: number) => delay(ms, undefined, { signal: stopping.signal }).catch(() => {})
  const running = Object.entries(clients).map(async ([kind, client]) => {
    counts[kind] = 0
    while (!stopping.signal.aborted) {
      await client()
      counts[kind] += 1
    }
  })
  const failed = Promise.all(running)
  // Whoever waits for it hears of it.
  failed.catch(() => {})
  return {
    counts,
    failed,
    async stop() {
      stopping.abort()
      await failed
    },
  }
}

function between(least: number, most: number): number {
  return least + Math.floor(Math.random() * (most - least))
}
