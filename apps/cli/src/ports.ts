/**
 * Whether a port can be listened on, and a free one when any will do; whether a folder takes Unix sockets. Opens nothing for
 * longer than the question.
 */
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { LaunchError } from './launch-error.js'
import { pause } from './pause.js'

export interface PortUse {
  readonly host: string
  readonly port: number
  /** What wants it: `gateway`, `queue Redis`. */
  readonly purpose: string
  /** How the user picks another, in words. */
  readonly remedy: string
}

type PortAnswer = { readonly port: number } | { readonly fault: string }

function tryPort(host: string, port: number): Promise<PortAnswer> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve({ fault: error.code ?? error.message }))
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address()
      const found = typeof address === 'object' && address !== null ? address.port : port
      server.close(() => resolve({ port: found }))
    })
  })
}

/** @returns a sentence on what is wrong and how to change it; undefined when the port is free. Port 0 is always free. */
export async function portFault(use: PortUse): Promise<string | undefined> {
  const answer = await tryPort(use.host, use.port)
  if (!('fault' in answer)) return undefined
  const where = `Port ${use.port} on ${use.host}, wanted for the ${use.purpose},`
  switch (answer.fault) {
    case 'EADDRINUSE':
      return `${where} is taken by another program. ${use.remedy}`
    case 'EACCES':
      return `${where} may not be used by this user. ${use.remedy}`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${use.host} is not an address of this machine, so the ${use.purpose} cannot listen there (setting: HOST).`
    default:
      return `${where} cannot be used (${answer.fault}). ${use.remedy}`
  }
}

/**
 * @param graceMs how long to wait for ports to become free: what a killed launcher left behind is still stopping
 * @throws LaunchError naming every port that stays taken
 */
export async function requirePorts(
  uses: readonly PortUse[],
  graceMs: number,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  const until = now() + graceMs
  for (;;) {
    const answers = await Promise.all(uses.map(portFault))
    const faults = answers.filter((fault) => fault !== undefined)
    if (faults.length === 0) return
    if (now() >= until || signal.aborted) throw new LaunchError(faults.join('\n'))
    await pause(100, signal)
  }
}

/** A port nobody listens on right now. */
export async function freePort(host: string): Promise<number> {
  const answer = await tryPort(host, 0)
  if ('fault' in answer) throw new LaunchError(`No port of ${host} can be used (${answer.fault}).`)
  return answer.port
}

/**
 * Whether a Unix socket of a name like `queue.sock` can be made in the folder (made when missing). Not where its path is too
 * long (107 bytes on Linux), or on a file system without sockets.
 */
export async function canHoldSockets(dir: string): Promise<boolean> {
  const path = join(resolve(dir), 'probe.sock')
  try {
    await mkdir(dir, { recursive: true })
    await rm(path, { force: true })
  } catch {
    return false
  }
  const server = createServer()
  return new Promise((answer) => {
    server.once('error', () => answer(false))
    server.listen({ path, exclusive: true }, () => {
      // A path that is too long is cut, silently.
      const found = existsSync(path)
      server.close(() => answer(found))
    })
  })
}
