import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from './ports.js'
import { type RedisRole, spawnRedis, untilRedisAnswers } from './redis-processes.js'
import { pingRedis } from './redis-reply.js'

let dir: string
let port: number
let child: ChildProcess | undefined
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-redis-'))
  port = await freePort('127.0.0.1')
})
afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  rmSync(dir, { recursive: true, force: true })
})

async function start(role: RedisRole) {
  child = spawnRedis('redis-server', role, { port, dir })
  await untilRedisAnswers(port, AbortSignal.timeout(10_000))
  return child
}

/** Sends commands in Redis' inline form and gives everything it answers until QUIT. */
async function ask(...commands: string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.write([...commands, 'QUIT', ''].join('\r\n'))
  return text(socket)
}

/** The answer to CONFIG GET, as names and values. */
async function settings(...names: string[]): Promise<Record<string, string>> {
  const answer = await ask(...names.map((name) => `CONFIG GET ${name}`))
  const words = answer.split('\r\n').filter((line) => !/^[*$+]/.test(line))
  return Object.fromEntries(names.map((name) => [name, words[words.indexOf(name) + 1] ?? '']))
}

const names = [
  'maxmemory',
  'maxmemory-policy',
  'appendonly',
  'appendfsync',
  'rdbcompression',
  'save',
  'bind',
] as const

test('a Redis with a socket answers there too, to its own user alone', async () => {
  const socket = join(dir, 'queue.sock')
  child = spawnRedis('redis-server', 'queue', { port, dir, socket })
  await untilRedisAnswers(port, AbortSignal.timeout(10_000))
  expect(await pingRedis({ path: socket }, 1000)).toBe('+PONG')
  expect(statSync(socket).mode & 0o777).toBe(0o700)
})

describe('the queue Redis', () => {
  test('never evicts, and writes an append-only file every second', async () => {
    await start('queue')
    expect(await settings(...names)).toEqual({
      maxmemory: String(2 ** 30),
      'maxmemory-policy': 'noeviction',
      appendonly: 'yes',
      appendfsync: 'everysec',
      rdbcompression: 'no',
      save: '',
      bind: '127.0.0.1',
    })
  })

  test('has what was written before SIGTERM when it is started again', async () => {
    const first = await start('queue')
    await ask('SET kept yes')
    first.kill('SIGTERM')
    expect(await once(first, 'exit')).toEqual([0, null])
    await start('queue')
    expect(await ask('GET kept')).toContain('yes')
  })
})

test('the cache Redis evicts the least used and writes nothing to disk', async () => {
  await start('cache')
  expect(await settings(...names)).toMatchObject({
    maxmemory: String(512 * 2 ** 20),
    'maxmemory-policy': 'allkeys-lfu',
    appendonly: 'no',
    save: '',
  })
})

test('a Redis does not outlive the process that started it, even one ended by SIGKILL', async () => {
  const module = new URL('../dist/redis-processes.js', import.meta.url).href
  const launcher = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { spawnRedis } from '${module}'
       const redis = spawnRedis('redis-server', 'cache', { port: ${port}, dir: ${JSON.stringify(dir)} })
       redis.stdout.resume()
       setInterval(() => {}, 1000)`,
    ],
    { stdio: 'ignore' },
  )
  await untilRedisAnswers(port, AbortSignal.timeout(10_000))
  const connection = connect({ host: '127.0.0.1', port })
  await once(connection, 'connect')
  launcher.kill('SIGKILL')
  await once(connection, 'close') // Redis closes its connections when it ends
  await expect(pingRedis({ host: '127.0.0.1', port }, 1000)).rejects.toThrow()
})
