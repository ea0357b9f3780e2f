import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { canHoldSockets, freePort, portFault, requirePorts } from './ports.js'

const host = '127.0.0.1'
const remedy = 'Choose another with `--port`.'
let holder: Server
let port: number
const use = () => ({ host, port, purpose: 'gateway', remedy })

beforeEach(async () => {
  holder = createServer().listen(0, host)
  await once(holder, 'listening')
  port = (holder.address() as AddressInfo).port
})
afterEach(() => {
  holder.close()
})

describe('a port', () => {
  test('that is taken is named, with who wants it and what changes it', async () => {
    expect(await portFault(use())).toBe(
      `Port ${port} on 127.0.0.1, wanted for the gateway, is taken by another program. ${remedy}`,
    )
  })

  test('that is free is no fault, and stays free', async () => {
    port = await freePort(host)
    expect(await portFault(use())).toBeUndefined()
    expect(await portFault(use())).toBeUndefined()
  })

  test('on an address of another machine is told apart from a taken one', async () => {
    const fault = await portFault({ ...use(), host: '192.0.2.1' })
    expect(fault).toContain('192.0.2.1 is not an address of this machine')
  })
})

describe('a folder', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-sockets-'))
  })
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  test('takes Unix sockets, also one that is not there yet, and is left without any', async () => {
    const made = join(dir, 'made')
    expect(await canHoldSockets(made)).toBe(true)
    expect(await canHoldSockets(made)).toBe(true)
    expect(readdirSync(made)).toEqual([])
  })

  test('whose path is too long for a socket takes none', async () => {
    expect(await canHoldSockets(join(dir, 'x'.repeat(100)))).toBe(false)
  })

  test('that is a file takes none', async () => {
    const file = join(dir, 'file')
    writeFileSync(file, '')
    expect(await canHoldSockets(file)).toBe(false)
  })
})

describe('the ports of a fleet', () => {
  const never = new AbortController().signal

  test('are all named when several are taken', async () => {
    const uses = [use(), { ...use(), purpose: 'queue redis' }]
    await expect(requirePorts(uses, 0, () => 0, never)).rejects.toThrow(
      /wanted for the gateway.*\n.*wanted for the queue redis/,
    )
  })

  test('are waited for while what a dead launcher left behind stops', async () => {
    let asked = 0
    const now = () => {
      asked += 1
      if (asked === 2) holder.close()
      return 0
    }
    await expect(requirePorts([use()], 1, now, never)).resolves.toBeUndefined()
    expect(asked).toBeGreaterThanOrEqual(2)
  })
})
