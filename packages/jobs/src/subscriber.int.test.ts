import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { onCanceled, tellCanceled } from './cancel-channel.js'
import { JobStore } from './job-store.js'
import { Subscriber } from './subscriber.js'

let redis: RedisServer
let store: JobStore
let subscriber: Subscriber
let events: ReturnType<typeof collectEvents<{ type: string }>>

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'worker' })
})
beforeEach(() => {
  events = collectEvents()
  subscriber = new Subscriber({ url: redis.url, on: events.on })
})
afterEach(() => subscriber.close())
afterAll(async () => {
  await store.close()
  await redis.stop()
})

const publish = (channel: string, text: string) => store.publish(channel, Buffer.from(text))
const subscribers = async (channel: string) => Number((await redis.client().pubsub('NUMSUB', channel))[1])

/** Hears a channel and keeps what it hears. */
function ear(channel: string) {
  const heard: string[] = []
  const { ready, stop } = subscriber.listen(channel, (message) => heard.push(message.toString()))
  return { heard, ready, stop }
}
/** Resolves when what was published so far has been heard by whoever hears it. */
async function heardAll() {
  const marker = ear('marker')
  await marker.ready
  await publish('marker', 'here')
  await eventually(() => marker.heard.length === 1)
  marker.stop()
}

it('brings a message to everyone who hears its channel, and to nobody else', async () => {
  const [one, two, other] = [ear('a'), ear('a'), ear('b')]
  await Promise.all([one.ready, two.ready, other.ready])
  await publish('a', 'é')
  await publish('b', 'b')
  await heardAll()
  expect([one.heard, two.heard, other.heard]).toEqual([['é'], ['é'], ['b']])
  expect(await subscribers('a')).toBe(1)
})

it('brings bytes as they are', async () => {
  const bytes = Buffer.from([0, 255, 13, 10, 128])
  const heard: Buffer[] = []
  await subscriber.listen('a', (message) => heard.push(message)).ready
  await store.publish('a', bytes)
  await heardAll()
  expect(heard).toEqual([bytes])
})

it('that one stops hearing leaves the channel to the others', async () => {
  const [one, two] = [ear('a'), ear('a')]
  await Promise.all([one.ready, two.ready])
  one.stop()
  one.stop()
  await publish('a', 'later')
  await heardAll()
  expect([one.heard, two.heard]).toEqual([[], ['later']])
})

it('has nothing subscribed after the last one stopped, and hears again whoever comes then', async () => {
  const [one, two] = [ear('a'), ear('a')]
  await Promise.all([one.ready, two.ready])
  one.stop()
  two.stop()
  const third = ear('a')
  await third.ready
  expect(await subscribers('a')).toBe(1)
  await publish('a', 'third')
  await heardAll()
  expect([one.heard, two.heard, third.heard]).toEqual([[], [], ['third']])
  third.stop()
  await eventually(async () => (await subscribers('a')) === 0)
  expect(await redis.client().pubsub('CHANNELS')).not.toContain('a')
})

it('hears all its channels again after an outage, tells of the return, and drops what was stopped meanwhile', async () => {
  const [kept, dropped] = [ear('kept'), ear('dropped')]
  await Promise.all([kept.ready, dropped.ready])
  let returns = 0
  const forget = subscriber.onBack(() => returns++)
  await redis.kill('SIGTERM')
  await events.next('redis-away')
  dropped.stop()
  const late = ear('late')
  await redis.restart()
  await events.next('redis-back')
  await late.ready
  expect(returns).toBe(1)
  await eventually(() => store.healthy)
  await eventually(async () => (await subscribers('kept')) === 1 && (await subscribers('dropped')) === 0)
  for (const channel of ['kept', 'dropped', 'late']) await publish(channel, 'again')
  await heardAll()
  expect([kept.heard, dropped.heard, late.heard]).toEqual([['again'], [], ['again']])
  forget()
  await redis.kill('SIGTERM')
  await redis.restart()
  await eventually(() => events.all('redis-back').length === 2)
  expect(returns).toBe(1)
})

it('a canceled job is told to everyone who hears of cancels, until they stop', async () => {
  const first: string[] = []
  const second: string[] = []
  const stopFirst = onCanceled(subscriber, (jobId) => first.push(jobId))
  const other = new Subscriber({ url: redis.url })
  onCanceled(other, (jobId) => second.push(jobId))
  await eventually(async () => (await subscribers('mr:canceled')) === 2)
  await tellCanceled(store, 'job-1')
  await eventually(() => second.length === 1)
  await heardAll()
  stopFirst()
  await tellCanceled(store, 'job-2')
  await eventually(() => second.length === 2)
  await heardAll()
  await other.close()
  expect([first, second]).toEqual([['job-1'], ['job-1', 'job-2']])
})
