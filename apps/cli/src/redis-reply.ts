/** What the launcher asks about a Redis: where it is, whether something is there, and whether it answers. No client library. */
import { connect, type NetConnectOpts } from 'node:net'

/**
 * Sends PING and gives the first line of the reply (`+PONG`, `-LOADING ...`, `-NOAUTH ...`).
 * @throws Error when nothing answers in time
 */
export function pingRedis(address: NetConnectOpts, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(address)
    let reply = ''
    socket.setEncoding('utf8')
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.on('data', (text) => {
      reply += text
      if (!reply.includes('\r\n')) return
      resolve(reply.slice(0, reply.indexOf('\r\n')))
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed without an answer')))
  })
}

/** Where a Redis URL leads, and how that place is called in a sentence: without a password. */
export function addressOf(url: string): { address: NetConnectOpts; name: string } {
  const { protocol, hostname, host, port, pathname } = new URL(url)
  if (protocol === 'unix:') {
    const path = decodeURIComponent(pathname)
    return { address: { path }, name: path }
  }
  return { address: { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) }, name: host }
}

/** Whether anything listens there. Enough for a Redis of the user's own, whose password is not our business. */
export function isListening(address: NetConnectOpts, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address)
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(timeoutMs, () => settle(false))
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}
