/**
 * Which addresses may be called: the whole of the protection against a webhook that points inwards (SSRF). A name is
 * resolved here, once, and what is resolved here is what is called; see send.ts. Knows no job.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { fieldError } from '@millrace/contracts'
import ipaddr from 'ipaddr.js'

/** Answers every address of a name. @throws when it has none */
export type Resolve = (name: string) => Promise<readonly string[]>

export interface AddressGuardOptions {
  /** Ranges that may be called although they are not public: `10.1.0.0/16`, `fd00::/8`. */
  allowCidrs?: readonly string[]
  allowHttp?: boolean
  resolve?: Resolve
  /** A name that takes longer counts as one that does not resolve. */
  resolveLimitMs?: number
}

/** Where to connect, all of it checked. */
export interface Target {
  url: URL
  addresses: readonly string[]
}

/** `unresolved` may pass; `refused` will not. */
export type GuardOutcome =
  | { state: 'callable'; target: Target }
  | { state: 'refused'; reason: string }
  | { state: 'unresolved'; reason: string }

const defaultResolveLimitMs = 5000

export class AddressGuard {
  readonly #allowed: readonly ReturnType<typeof ipaddr.parseCIDR>[]
  readonly #allowHttp: boolean
  readonly #resolve: Resolve
  readonly #resolveLimitMs: number

  /** @throws Error for a malformed CIDR */
  constructor(options: AddressGuardOptions = {}) {
    this.#allowed = (options.allowCidrs ?? []).map((cidr) => ipaddr.parseCIDR(cidr))
    this.#allowHttp = options.allowHttp ?? false
    this.#resolve = options.resolve ?? resolveBySystem
    this.#resolveLimitMs = options.resolveLimitMs ?? defaultResolveLimitMs
  }

  /**
   * At registration. @throws MillraceError webhook_refused, with the field `webhook.url`
   */
  async assertCallable(url: string): Promise<void> {
    const outcome = await this.check(url)
    if (outcome.state === 'callable') return
    throw fieldError('webhook_refused', 'webhook.url', outcome.reason)
  }

  /** At every send. Asks the resolver once at most; never throws. */
  async check(text: string): Promise<GuardOutcome> {
    if (!URL.canParse(text)) return refused('this is no URL')
    // Writes every form of an IPv4 address (2130706433, 0x7f.1) as four decimal numbers.
    const url = new URL(text)
    const fault = this.#faultOfUrl(url)
    if (fault) return refused(fault)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const addresses = isIP(host) === 0 ? await this.#addressesOf(host) : [host]
    if (addresses.length === 0) return { state: 'unresolved', reason: `the name ${host} does not resolve` }
    // One bad address spoils all: which of them would be called is not ours to choose.
    if (!addresses.every((address) => this.#mayCall(address)))
      return refused(`${host} is not a public address`)
    return { state: 'callable', target: { url, addresses } }
  }

  #faultOfUrl(url: URL): string | undefined {
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'only https can be called'
    if (url.protocol === 'http:' && !this.#allowHttp) return 'only https can be called'
    if (url.username !== '' || url.password !== '') return 'a user name or password cannot be given'
    return undefined
  }

  async #addressesOf(name: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<[]>((resolve) => {
      timer = setTimeout(() => resolve([]), this.#resolveLimitMs)
    })
    const resolved = this.#resolve(name).catch(() => [])
    return Promise.race([resolved, limit]).finally(() => clearTimeout(timer))
  }

  #mayCall(address: string): boolean {
    if (isIP(address) === 0) return false
    const parsed = ipaddr.parse(address)
    const listed = this.#allowed.some(([range, bits]) => {
      return range.kind() === parsed.kind() && parsed.match(range, bits)
    })
    return listed || isPublic(parsed)
  }
}

/**
 * Global unicast by its bytes. For IPv6 that is inside 2000::/3, all that IANA has given out: everything that carries an
 * IPv4 address in disguise (mapped, compatible, NAT64) lies outside, and 6to4 and Teredo have ranges of their own.
 */
function isPublic(address: ReturnType<typeof ipaddr.parse>): boolean {
  if (address.range() !== 'unicast') return false
  return address.kind() === 'ipv4' || ((address.toByteArray()[0] ?? 0) & 0xe0) === 0x20
}

function refused(reason: string): GuardOutcome {
  return { state: 'refused', reason }
}

async function resolveBySystem(name: string): Promise<string[]> {
  const found = await lookup(name, { all: true, verbatim: true })
  return found.map(({ address }) => address)
}
