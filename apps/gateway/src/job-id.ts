/** New job ids: UUIDv7 (RFC 9562, 5.7), with randomness drawn for many at once; a draw for each costs ten times the id. */
import { randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'

const bytesPerId = 16
const pool = new Uint8Array(bytesPerId * 256)
let used = pool.length

export function newJobId(): string {
  return v7({ rng: pooledRandom })
}

function pooledRandom(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytesPerId
  return pool.subarray(used - bytesPerId, used)
}
