/**
 * Standard Webhooks 1.0: the three headers, how they are made and how they are checked. Pure; knows no job and no network.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export interface WebhookHeaders {
  'webhook-id': string
  /** Unix seconds of this try. */
  'webhook-timestamp': string
  /** `v1,<base64>`, once per secret, separated by spaces. */
  'webhook-signature': string
}

export type VerifyOutcome = { valid: true } | { valid: false; reason: string }

const secretPrefix = 'whsec_'
const secretBytes = { least: 24, fresh: 32, most: 64 }
const signatureBytes = 32
const toleranceS = 300

/** A fresh signing secret: `whsec_` and 32 random bytes in base64. */
export function newSecret(): string {
  return secretPrefix + randomBytes(secretBytes.fresh).toString('base64')
}

/**
 * Signs one try. While a secret is rotated, give both: a receiver accepts whichever it knows.
 * @param webhook `id` has no full stop in it: the signed content is `id.timestamp.body`
 * @throws Error for an id with a full stop, for no secret and for a malformed one
 */
export function signWebhook(webhook: {
  id: string
  nowMs: number
  body: string | Uint8Array
  secrets: readonly string[]
}): WebhookHeaders {
  const { id, nowMs, body, secrets } = webhook
  if (id.includes('.')) throw new Error('a webhook id must not contain a full stop')
  if (secrets.length === 0) throw new Error('a webhook cannot be signed without a secret')
  const timestamp = String(Math.floor(nowMs / 1000))
  const signatures = secrets.map((secret) => `v1,${hmac(secret, id, timestamp, body).toString('base64')}`)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}

/**
 * What a receiver does: any `v1` signature by any of the secrets, at most 5 minutes from its own clock. Constant time.
 * @param received `headers` by lower-case name, `body` exactly as it came
 * @throws Error for a malformed secret of the receiver's own
 */
export function verifyWebhook(received: {
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: string | Uint8Array
  secrets: readonly string[]
  nowMs: number
}): VerifyOutcome {
  const { headers, body, secrets, nowMs } = received
  const id = headers['webhook-id']
  const timestamp = headers['webhook-timestamp']
  const given = headers['webhook-signature']
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof given !== 'string') {
    return { valid: false, reason: 'a webhook header is missing' }
  }
  if (!/^\d{1,12}$/.test(timestamp)) return { valid: false, reason: 'the timestamp is no number of seconds' }
  const ageS = Math.floor(nowMs / 1000) - Number(timestamp)
  if (Math.abs(ageS) > toleranceS) {
    return { valid: false, reason: `the timestamp is too ${ageS > 0 ? 'old' : 'new'}` }
  }
  const signatures = signaturesIn(given)
  let valid = false
  for (const secret of secrets) {
    const expected = hmac(secret, id, timestamp, body)
    for (const signature of signatures) valid = timingSafeEqual(signature, expected) || valid
  }
  return valid ? { valid } : { valid, reason: 'no signature fits' }
}

/** Those of version 1, as bytes; others (`v1a`, of another length) are not ours to judge. */
function signaturesIn(header: string): Buffer[] {
  return header
    .split(' ')
    .filter((one) => one.startsWith('v1,'))
    .map((one) => Buffer.from(one.slice(3), 'base64'))
    .filter((bytes) => bytes.length === signatureBytes)
}

function hmac(secret: string, id: string, timestamp: string, body: string | Uint8Array): Buffer {
  return createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest()
}

/** The message never holds the secret: it may be logged. */
function keyOf(secret: string): Buffer {
  const text = secret.startsWith(secretPrefix) ? secret.slice(secretPrefix.length) : ''
  const key = Buffer.from(text, 'base64')
  const wellFormed = key.toString('base64') === text
  if (!wellFormed || key.length < secretBytes.least || key.length > secretBytes.most) {
    throw new Error(`a webhook secret is '${secretPrefix}' and 24 to 64 bytes in base64`)
  }
  return key
}
