import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { cacheRedis, eventually, isAlive, queueRedis, type RedisServer, waitForLine } from './index.js'

let server: RedisServer | undefined
afterEach(async () => {
  await server?.stop()
  server = undefined
})

test('the queue preset keeps everything: noeviction and an AOF synced every second', async () => {
  server = await queueRedis()
  const client = server.client()
  expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction'])
  expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'yes'])
  expect(await client.config('GET', 'appendfsync')).toEqual(['appendfsync', 'everysec'])
})

test('the cache preset forgets: allkeys-lfu in 64 MB, nothing on disk', async () => {
  server = await cacheRedis()
  const client = server.client()
  expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'allkeys-lfu'])
  expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(64 << 20)])
  expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'no'])
})

test('a killed server comes back on its port with what its AOF holds', async () => {
  server = await queueRedis()
  const client = server.client()
  await client.set('kept', 'yes')
  const before = server.pid
  await server.kill('SIGKILL')
  expect(isAlive(before)).toBe(false)
  await server.restart()
  expect(server.pid).not.toBe(before)
  expect(await client.get('kept')).toBe('yes')
})

test('a paused server answers nothing until it is resumed', async () => {
  server = await cacheRedis()
  const client = server.client({ commandTimeout: 100 })
  await client.ping()
  server.pause()
  await expect(client.ping()).rejects.toThrow(/timed out/i)
  server.resume()
  const { pid } = server
  expect(await eventually(() => client.ping())).toBe('PONG')
  server.pause()
  await server.stop()
  expect(isAlive(pid)).toBe(false)
})

test('stop ends the process and removes the folder, twice is fine', async () => {
  const stopped = await queueRedis()
  await stopped.stop()
  await stopped.stop()
  expect(isAlive(stopped.pid)).toBe(false)
  expect(existsSync(stopped.dir)).toBe(false)
  await expect(stopped.restart()).rejects.toThrow(/stopped for good/)
})

test('servers started at once do not share a port', async () => {
  const servers = await Promise.all([cacheRedis(), cacheRedis(), cacheRedis(), cacheRedis()])
  expect(new Set(servers.map((one) => one.port)).size).toBe(4)
  await Promise.all(servers.map((one) => one.stop()))
})

test('a server that cannot start says why', async () => {
  await expect(cacheRedis({ maxmemory: 'plenty' })).rejects.toThrow(/ended at its start[\s\S]*maxmemory/)
})

test('a test process that is killed leaves neither server nor folder behind', async () => {
  const built = new URL('../dist/index.js', import.meta.url).href
  const script = `
    import { queueRedis } from '${built}'
    const server = await queueRedis()
    console.log(JSON.stringify({ pid: server.pid, dir: server.dir }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  const line = await waitForLine(child, /^\{.*\}$/, { timeoutMs: 20_000 })
  const { pid, dir } = JSON.parse(line[0]) as { pid: number; dir: string }
  expect(isAlive(pid) && existsSync(dir)).toBe(true)
  child.kill('SIGKILL')
  await eventually(() => !isAlive(pid) && !existsSync(dir))
})
