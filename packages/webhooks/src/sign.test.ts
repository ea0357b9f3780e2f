import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { newSecret, signWebhook, verifyWebhook } from './sign.js'

const secret = newSecret()
const other = newSecret()
const nowMs = Date.now()
const body = '{"type":"job.succeeded","data":{"text":"Café 🙂"}}'
const sign = (secrets: string[], change: { body?: string; nowMs?: number } = {}) =>
  signWebhook({ id: 'msg_1', nowMs, body, secrets, ...change })
const verify = (
  headers: Record<string, string>,
  secrets: string[],
  change: { body?: string; nowMs?: number } = {},
) => verifyWebhook({ headers, body, secrets, nowMs, ...change })

describe('a signature', () => {
  it('is accepted by the standard’s own library, whatever the body', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const headers = sign([secret], { body: json })
        expect(new Webhook(secret).verify(json, { ...headers })).toEqual(JSON.parse(json))
      }),
    )
  })

  it('of the standard’s own library is accepted here', () => {
    const signature = new Webhook(secret).sign('msg_1', new Date(nowMs), body)
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(Math.floor(nowMs / 1000)),
      'webhook-signature': signature,
    }
    expect(verify(headers, [secret])).toEqual({ valid: true })
    expect(sign([secret])).toEqual(headers)
  })

  it('is the same over text and over its bytes', () => {
    expect(signWebhook({ id: 'msg_1', nowMs, body: Buffer.from(body), secrets: [secret] })).toEqual(
      sign([secret]),
    )
  })

  it('is made with each secret while one is rotated, and either receiver accepts it', () => {
    const headers = sign([secret, other])
    expect(headers['webhook-signature']).toMatch(/^v1,[\w+/=]{44} v1,[\w+/=]{44}$/)
    for (const one of [secret, other]) {
      expect(new Webhook(one).verify(body, { ...headers })).toBeTruthy()
      expect(verify({ ...headers }, [one])).toEqual({ valid: true })
    }
    expect(verify({ ...sign([other]) }, [secret, other])).toEqual({ valid: true })
  })
})

describe('verifying refuses', () => {
  const headers = { ...sign([secret]) }
  const valid = true

  it('another secret, another body, another id, another time', () => {
    expect(verify(headers, [secret])).toEqual({ valid })
    expect(verify(headers, [other])).toEqual({ valid: false, reason: 'no signature fits' })
    expect(verify(headers, [])).toEqual({ valid: false, reason: 'no signature fits' })
    expect(verify(headers, [secret], { body: `${body} ` })).toMatchObject({ valid: false })
    expect(verify({ ...headers, 'webhook-id': 'msg_2' }, [secret])).toMatchObject({ valid: false })
    const later = String(Number(headers['webhook-timestamp']) + 1)
    expect(verify({ ...headers, 'webhook-timestamp': later }, [secret])).toMatchObject({ valid: false })
  })

  it('what is more than 5 minutes from its clock, both ways', () => {
    for (const sign of [1, -1]) {
      expect(verify(headers, [secret], { nowMs: nowMs + sign * 299_000 })).toEqual({ valid })
      expect(verify(headers, [secret], { nowMs: nowMs + sign * 302_000 })).toMatchObject({ valid: false })
    }
  })

  it('missing and malformed headers', () => {
    for (const name of Object.keys(headers)) {
      const { [name]: _left, ...rest } = headers as Record<string, string>
      expect(verify(rest, [secret])).toMatchObject({ valid: false })
    }
    expect(verify({ ...headers, 'webhook-timestamp': '1e9' }, [secret])).toMatchObject({ valid: false })
    for (const signature of [
      '',
      'v1',
      'v1,',
      'v1,AAAA',
      headers['webhook-signature'].replace('v1,', 'v1a,'),
    ]) {
      expect(verify({ ...headers, 'webhook-signature': signature }, [secret])).toMatchObject({ valid: false })
    }
  })
})

describe('a secret', () => {
  it('is fresh each time, in the standard’s form, of 32 bytes', () => {
    expect(secret).toMatch(/^whsec_[\w+/]{43}=$/)
    expect(newSecret()).not.toBe(secret)
  })

  it.each([
    ['too short', `whsec_${Buffer.alloc(23).toString('base64')}`],
    ['too long', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['without its prefix', Buffer.alloc(32).toString('base64')],
    ['no base64', `${secret.slice(0, -2)}*=`],
  ])('that is %s is an error that does not repeat it', (_what, bad) => {
    expect(() => sign([bad])).toThrow(/^a webhook secret is 'whsec_' and 24 to 64 bytes in base64$/)
  })

  it('has to be there, and an id must not contain what separates it', () => {
    expect(() => sign([])).toThrow('without a secret')
    expect(() => signWebhook({ id: 'msg.1', nowMs, body, secrets: [secret] })).toThrow('full stop')
  })
})
