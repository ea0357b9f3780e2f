import { describe, expect, it } from 'vitest'
import { AddressGuard, type AddressGuardOptions } from './address-guard.js'

const state = async (url: string, options: AddressGuardOptions = {}) =>
  (await new AddressGuard({ resolve: async () => ['93.184.216.34'], ...options }).check(url)).state

describe('what may be called', () => {
  it.each(['https://example.com/x?y=1', 'https://93.184.216.34:8443/', 'https://[2606:2800:220:1::1]/'])(
    '%s',
    async (url) => {
      expect(await state(url)).toBe('callable')
    },
  )

  it('keeps the URL and says every address that was checked', async () => {
    const addresses = ['93.184.216.34', '2606:2800:220:1::1']
    const outcome = await new AddressGuard({ resolve: async () => addresses }).check(
      'https://Example.com:8443/a?b',
    )
    expect(outcome).toMatchObject({ target: { addresses, url: { href: 'https://example.com:8443/a?b' } } })
  })
})

const literals = [
  '2130706433 0x7f.1 127.1 0177.0.0.1 127.0.0.1 127.255.255.254 0.0.0.0 0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255',
  '192.168.1.1 169.254.169.254 100.64.0.1 100.127.255.255 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1',
  '224.0.0.1 240.0.0.1 255.255.255.255 [::] [::1] [::ffff:7f00:1] [::ffff:127.0.0.1] [::ffff:5db8:d822] [::7f00:1]',
  '[::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::5db8:d822] [64:ff9b:1::7f00:1] [::ffff:0:7f00:1] [2002:7f00:1::1]',
  '[2001:0:7f00:1::] [2001:db8::1] [3fff::1] [fe80::1] [fec0::1] [fc00::1] [fd12::1] [ff02::1] [100::1] [4000::1]',
  '[5f00::1] [1::1]',
].flatMap((line) => line.split(' '))

describe('what may not be called', () => {
  it.each(literals)('https://%s/', async (host) => {
    expect(await state(`https://${host}/`)).toBe('refused')
  })

  it.each([
    ['http without permission', 'http://example.com/'],
    ['another protocol', 'ftp://example.com/'],
    ['a file', 'file:///etc/passwd'],
    ['a user name', 'https://user@example.com/'],
    ['a password', 'https://:secret@example.com/'],
    ['no URL', 'example.com'],
  ])('%s', async (_what, url) => {
    expect(await state(url)).toBe('refused')
  })

  it.each([
    ['private', ['10.0.0.1']],
    ['public and private, in either order', ['93.184.216.34', '10.0.0.1']],
    ['private and public', ['10.0.0.1', '93.184.216.34']],
    ['public IPv4 and loopback IPv6', ['93.184.216.34', '::1']],
    ['link-local with a zone', ['fe80::1%eth0']],
    ['not addresses at all', ['nonsense']],
  ])('a name whose answers are %s', async (_what, addresses) => {
    expect(await state('https://example.com/', { resolve: async () => addresses })).toBe('refused')
  })

  it.each(['localhost', 'LOCALHOST'])('%s, asked of the system', async (name) => {
    expect((await new AddressGuard().check(`https://${name}/`)).state).toBe('refused')
  })

  // Some resolvers know this form and some do not.
  it('localhost. with its root, asked of the system', async () => {
    expect((await new AddressGuard().check('https://localhost./')).state).not.toBe('callable')
    expect(await state('https://localhost./', { resolve: async () => ['127.0.0.1'] })).toBe('refused')
  })
})

describe('a name that does not resolve', () => {
  it.each([
    ['fails', () => Promise.reject(new Error('ENOTFOUND'))],
    ['has no address', () => Promise.resolve([])],
    ['is never answered', () => new Promise<never>(() => {})],
  ])('%s: that may pass', async (_what, resolve) => {
    expect(await state('https://example.com/', { resolve, resolveLimitMs: 20 })).toBe('unresolved')
  })
})

describe('permission', () => {
  it('by CIDR opens exactly that range, for literals and names', async () => {
    const options = { allowCidrs: ['127.0.0.0/8', 'fd00::/8'], resolve: async () => ['127.0.0.1', 'fd00::1'] }
    for (const host of ['127.0.0.1', '2130706433', '[fd12::1]', 'example.com', '93.184.216.34']) {
      expect(await state(`https://${host}/`, options)).toBe('callable')
    }
    for (const host of ['10.0.0.1', '[::1]', '[fe80::1]', '[::ffff:7f00:1]']) {
      expect(await state(`https://${host}/`, options)).toBe('refused')
    }
  })

  it('for http does not open an address', async () => {
    expect(await state('http://example.com/', { allowHttp: true })).toBe('callable')
    expect(await state('http://127.0.0.1/', { allowHttp: true })).toBe('refused')
  })

  it('that is no CIDR is said when the guard is made', () => {
    expect(() => new AddressGuard({ allowCidrs: ['10.0.0.0/99'] })).toThrow()
  })
})

describe('at registration', () => {
  const guard = new AddressGuard({
    resolve: async (name) => (name === 'good.example' ? ['93.184.216.34'] : []),
  })

  it('a callable address passes', async () => {
    await guard.assertCallable('https://good.example/hook')
  })

  it.each([
    ['https://10.0.0.1/', '10.0.0.1 is not a public address'],
    ['https://gone.example/', 'the name gone.example does not resolve'],
    ['http://good.example/', 'only https can be called'],
  ])('%s is refused with its reason and its field', async (url, reason) => {
    await expect(guard.assertCallable(url)).rejects.toMatchObject({
      code: 'webhook_refused',
      errors: [{ path: 'webhook.url', code: 'webhook_refused', detail: reason }],
    })
  })
})
