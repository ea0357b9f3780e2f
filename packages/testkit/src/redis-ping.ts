/** Owns: asking a Redis for its process id over a bare socket, which says both "ready" and "the one we started". */
import { connect } from 'node:net'

/** @throws when nothing listens there, when it is still loading its data, or after 1 s. */
export function redisProcessId(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect({ host: '127.0.0.1', port })
    const fail = (reason: string) => {
      socket.destroy()
      reject(new Error(reason))
    }
    socket.setEncoding('utf8')
    socket.setTimeout(1000, () => fail('no answer within 1 s'))
    socket.once('error', (error) => fail(error.message))
    socket.once('close', () => fail('the connection was closed'))
    socket.once('connect', () => socket.write('PING\r\nINFO server\r\n'))
    socket.on('data', (text: string) => {
      answer += text
      if (answer.startsWith('-')) return fail(answer.trim())
      const found = /\r\nprocess_id:(\d+)\r\n/.exec(answer)
      if (!found || !answer.startsWith('+PONG')) return
      resolve(Number(found[1]))
      socket.destroy()
    })
  })
}
