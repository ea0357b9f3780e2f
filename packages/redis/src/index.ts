export {
  closeRedis,
  firstReady,
  type OpenRedisOptions,
  openRedis,
  type RedisEvent,
  type RedisRole,
  redisOptions,
  retryDelayMs,
} from './connection.js'
export { reach, reachError } from './reach.js'
export { memoryUse, settingFaults } from './settings.js'
