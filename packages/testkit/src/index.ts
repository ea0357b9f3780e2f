export { collectEvents, type EventLog } from './collect-events.js'
export { eventually, type WaitOptions, waitForEvent } from './eventually.js'
export { type Fleet, type FleetOptions, type FleetProcess, startFleet } from './fleet.js'
export { freePort } from './ports.js'
export { isAlive, killProcess, waitForLine } from './processes.js'
export {
  cacheRedis,
  queueRedis,
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from './redis-server.js'
