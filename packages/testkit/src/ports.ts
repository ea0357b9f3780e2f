/**
 * Owns: finding a loopback port for a server under test. Ports lie below the kernel's ephemeral range, so that no
 * outgoing connection can take one between a server's kill and its restart. A port is free when asked, not reserved:
 * whoever binds it must be ready to try another.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const firstPort = 20_000
const lastPort = 32_000

/** @throws Error after 50 taken ports in a row. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = randomInt(firstPort, lastPort)
    if (await canBind(port)) return port
  }
  throw new Error(`no free port found between ${firstPort} and ${lastPort}`)
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
