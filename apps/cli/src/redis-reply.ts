/** The two questions the launcher has for a Redis: is something there, and does it answer. No client library. */
import { connect } from 'node:net'

/**
 * Sends PING and gives the first line of the reply (`+PONG`, `-LOADING ...`, `-NOAUTH ...`).
 * @throws Error when nothing answers in time
 */
export function pingRedis(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
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

/** Whether anything listens there. Enough for a Redis of the user's own, whose password is not our business. */
export function isListening(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(timeoutMs, () => settle(false))
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}
