/** An endpoint that webhooks are sent to: keeps what came and answers as it is told. Each has an origin of its own. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Job, jobSchema } from '@millrace/contracts'
import { eventually, type Fleet } from '@millrace/testkit'
import { Webhook } from 'standardwebhooks'
import { millrace } from './api.js'

/** What lets a fleet call this machine. */
export const loopbackEnv = { WEBHOOK_ALLOW_HTTP: 'true', WEBHOOK_ALLOW_CIDRS: '127.0.0.0/8' }

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** As it came. */
  readonly body: string
  /** To answer one that is held. */
  readonly response: ServerResponse
}

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly got: readonly Received[]
  /** Resolves once so many have come. */
  arrived(count: number, timeoutMs?: number): Promise<readonly Received[]>
  close(): Promise<void>
}

const open: Receiver[] = []

/** @param answers statuses in order, or `hold`: no answer until the test gives one; then 204 */
export async function startReceiver(...answers: (number | 'hold')[]): Promise<Receiver> {
  return receiverAt(0, answers)
}

export async function receiverAt(port: number, answers: (number | 'hold')[] = []): Promise<Receiver> {
  const got: Received[] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const body = Buffer.concat(parts).toString()
    const answer = answers[got.length] ?? 204
    got.push({ path: request.url ?? '', headers: request.headers, body, response })
    if (answer !== 'hold') response.writeHead(answer).end()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const taken = (server.address() as AddressInfo).port
  const receiver: Receiver = {
    url: `http://127.0.0.1:${taken}/hook`,
    port: taken,
    got,
    arrived: async (count, timeoutMs = 30_000) => {
      await eventually(() => got.length >= count, { timeoutMs, what: `webhook ${count} of ${got.length}` })
      return got
    },
    async close() {
      server.closeAllConnections()
      server.close()
    },
  }
  open.push(receiver)
  return receiver
}

export async function closeReceivers(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()))
}

/** Newest first, as an operator reads them. */
export async function secretsOf(fleet: Fleet, tenant = 'default'): Promise<string[]> {
  return (await millrace(fleet, ['webhook-secrets', 'show', '--tenant', tenant])).trim().split('\n')
}

export interface Verified {
  id: string
  type: string
  timestamp: string
  job: Job
  outputUrl: string | undefined
}

/** Checked by the standard's own library, and against the contract. @throws where either says no */
export function verified(received: Received | undefined, secret: string): Verified {
  if (!received) throw new Error('no webhook came')
  const headers = Object.fromEntries(
    Object.entries(received.headers).map(([name, one]) => [name, String(one)]),
  )
  const payload = new Webhook(secret).verify(received.body, headers) as {
    type: string
    timestamp: string
    data: { output_url?: string }
  }
  const { type, timestamp, data } = payload
  return {
    id: headers['webhook-id'] ?? '',
    type,
    timestamp,
    job: jobSchema.parse(data),
    outputUrl: data.output_url,
  }
}
