import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { WebhookVerificationError } from './errors.js'
import { verifyWebhook } from './verify-webhook.js'

// Signed by the reference implementation: an independent witness of the scheme.
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const other = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
const sentAt = new Date('2026-01-01T00:00:00Z')
const nowMs = sentAt.getTime() + 1000
const payload = {
  type: 'job.succeeded',
  timestamp: '2026-01-01T00:00:00.000Z',
  data: { id: 'j', metadata: { note: 'grüße 🌊' } },
}
const body = JSON.stringify(payload)

function headers(signedWith = secret, id = 'msg_1', text = body, at = sentAt): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(at.getTime() / 1000),
    'webhook-signature': new Webhook(signedWith).sign(id, at, text),
  }
}

const refused = (promise: Promise<unknown>) =>
  expect(promise).rejects.toBeInstanceOf(WebhookVerificationError)

describe('a webhook is taken', () => {
  test('that the reference implementation signed', async () => {
    const verified = await verifyWebhook(headers(), body, secret, { nowMs })
    expect(verified).toEqual({ id: 'msg_1', sentAt, payload })
  })

  test('as bytes, and with headers as fetch has them', async () => {
    const given = new Headers(headers())
    await verifyWebhook(given, new TextEncoder().encode(body), secret, { nowMs })
  })

  test('with headers in any case', async () => {
    const given = Object.fromEntries(
      Object.entries(headers()).map(([name, value]) => [name.toUpperCase(), value]),
    )
    await verifyWebhook(given, body, secret, { nowMs })
  })

  test('signed with either secret while one replaces the other', async () => {
    await verifyWebhook(headers(other), body, [secret, other], { nowMs })
    await verifyWebhook(headers(secret), body, [secret, other], { nowMs })
  })

  test('when one of several signatures fits, beside versions that are for others', async () => {
    const given = headers()
    given['webhook-signature'] =
      `v1a,xyz ${headers(other)['webhook-signature']} ${given['webhook-signature']}`
    await verifyWebhook(given, body, secret, { nowMs })
  })

  test('at the edge of the tolerance, either way', async () => {
    await verifyWebhook(headers(), body, secret, { nowMs: sentAt.getTime() + 300_000 })
    await verifyWebhook(headers(), body, secret, { nowMs: sentAt.getTime() - 300_000 })
  })
})

describe('a webhook is refused', () => {
  test('with another secret', () => refused(verifyWebhook(headers(other), body, secret, { nowMs })))
  test('without a secret', () => refused(verifyWebhook(headers(), body, [], { nowMs })))
  test('with a changed body', () => refused(verifyWebhook(headers(), `${body} `, secret, { nowMs })))
  test('with a changed id', () =>
    refused(verifyWebhook({ ...headers(), 'webhook-id': 'msg_2' }, body, secret, { nowMs })))
  test('with a changed time', () => {
    const given = { ...headers(), 'webhook-timestamp': String(sentAt.getTime() / 1000 + 1) }
    return refused(verifyWebhook(given, body, secret, { nowMs }))
  })
  test('that is too old', () => refused(verifyWebhook(headers(), body, secret, { nowMs: nowMs + 300_000 })))
  test('from the future', () => refused(verifyWebhook(headers(), body, secret, { nowMs: nowMs - 302_000 })))
  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('without %s', (name) =>
    refused(verifyWebhook({ ...headers(), [name]: undefined }, body, secret, { nowMs })),
  )
  test('whose time is no number', () =>
    refused(verifyWebhook({ ...headers(), 'webhook-timestamp': '1e9' }, body, secret, { nowMs })))
  test('whose signature is no base64', () =>
    refused(verifyWebhook({ ...headers(), 'webhook-signature': 'v1,@@@' }, body, secret, { nowMs })))
  test.each(['{', '[]', '{"type":"job.succeeded"}'])('whose body is %s, though signed', (text) =>
    refused(verifyWebhook(headers(secret, 'msg_1', text), text, secret, { nowMs })),
  )
})

test.each(['whsec_', 'whsec_@@', ''])(
  'the secret %j is a mistake of the receiver, not of the sender',
  (given) => expect(verifyWebhook(headers(), body, given, { nowMs })).rejects.toThrow(TypeError),
)
