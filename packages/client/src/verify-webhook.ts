/** Whether a webhook is from the fleet, unchanged and fresh: Standard Webhooks (standardwebhooks.com), by WebCrypto. */
import type { Job, WebhookEvent } from '@millrace/contracts'
import { z } from 'zod'
import { WebhookVerificationError } from './errors.js'

/** Names in any case, as a `Headers` or as Node has them. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>

export interface VerifiedWebhook {
  /** The same for every try to deliver one event: remember it, and act on each once. */
  readonly id: string
  readonly sentAt: Date
  readonly payload: WebhookPayload
}

export interface WebhookPayload {
  readonly type: WebhookEvent
  /** When it happened, ISO 8601. */
  readonly timestamp: string
  /** The job. An output that would make the message too long is null, and `output_url` says where to read it. */
  readonly data: Job & { readonly output_url?: string }
}

const payloadParts = z.object({ type: z.string(), timestamp: z.string(), data: z.object({ id: z.string() }) })

export interface VerifyOptions {
  /** How far the sender's clock and ours may be apart, and how old a message may be. Default 300. */
  readonly toleranceS?: number
  readonly nowMs?: number
}

const defaultToleranceS = 300
const prefix = 'whsec_'

/**
 * @param body the bytes as they came, or their text; not parsed and written out again
 * @param secrets `whsec_<base64>`; several while one is being replaced by another
 * @throws WebhookVerificationError; TypeError for a secret that is none
 */
export async function verifyWebhook(
  headers: WebhookHeaders,
  body: string | Uint8Array,
  secrets: string | readonly string[],
  options: VerifyOptions = {},
): Promise<VerifiedWebhook> {
  const id = header(headers, 'webhook-id')
  const timestamp = header(headers, 'webhook-timestamp')
  const signatures = header(headers, 'webhook-signature')
  if (!/^\d{1,12}$/.test(timestamp))
    throw new WebhookVerificationError('webhook-timestamp is no number of seconds')
  const sentMs = Number(timestamp) * 1000
  const toleranceMs = (options.toleranceS ?? defaultToleranceS) * 1000
  const ageMs = (options.nowMs ?? Date.now()) - sentMs
  if (ageMs > toleranceMs) throw new WebhookVerificationError('The message is too old')
  if (ageMs < -toleranceMs) throw new WebhookVerificationError('The message is from the future')

  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  const signed = joined(new TextEncoder().encode(`${id}.${timestamp}.`), bytes)
  const candidates = signatures.split(' ').flatMap(signatureBytes)
  for (const secret of typeof secrets === 'string' ? [secrets] : secrets) {
    const key = await importKey(secret)
    for (const candidate of candidates) {
      // `verify` compares in constant time.
      if (await crypto.subtle.verify('HMAC', key, candidate, signed)) {
        return { id, sentAt: new Date(sentMs), payload: payloadOf(bytes) }
      }
    }
  }
  throw new WebhookVerificationError('No signature fits')
}

function header(headers: WebhookHeaders, name: string): string {
  const value = headers instanceof Headers ? headers.get(name) : fromRecord(headers, name)
  if (typeof value !== 'string' || value === '') throw new WebhookVerificationError(`${name} is missing`)
  return value
}

function fromRecord(headers: Exclude<WebhookHeaders, Headers>, name: string): unknown {
  return Object.entries(headers).find(([given]) => given.toLowerCase() === name)?.[1]
}

/** `v1,<base64>`; other versions are for other readers. */
function signatureBytes(text: string): Uint8Array<ArrayBuffer>[] {
  const [version, encoded] = text.split(',', 2)
  if (version !== 'v1' || encoded === undefined) return []
  const bytes = fromBase64(encoded)
  return bytes === undefined ? [] : [bytes]
}

function importKey(secret: string) {
  const bytes = fromBase64(secret.startsWith(prefix) ? secret.slice(prefix.length) : secret)
  if (bytes === undefined || bytes.length === 0)
    throw new TypeError('A webhook secret is `whsec_` and base64')
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
}

function payloadOf(bytes: Uint8Array): WebhookPayload {
  let payload: unknown
  try {
    payload = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new WebhookVerificationError('The signature fits, but the body is no JSON', { cause: error })
  }
  if (payloadParts.safeParse(payload).success) return payload as WebhookPayload
  throw new WebhookVerificationError('The signature fits, but the body is no event of a job')
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}
