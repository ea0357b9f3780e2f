/** The memory of every process of a fleet, by name; a worker's row is the sum of its main and its model processes. */
import type { Fleet } from '@millrace/testkit'
import { childrenOf, type Memory, memoryOf } from './processes.js'

export interface ProcessMemory extends Memory {
  name: string
}

/** Empty where the system does not tell. */
export function fleetMemory(fleet: Fleet): ProcessMemory[] {
  const rows: ProcessMemory[] = []
  for (const { name, pid } of fleet.gateways) add(rows, name, [pid])
  for (const { name, pid } of fleet.workers) {
    const models = childrenOf(pid)
    add(rows, `${name} (both processes)`, [pid, ...models])
    add(rows, `${name}, main`, [pid])
    add(rows, `${name}, model process`, models)
  }
  add(rows, 'queue Redis', [fleet.queueRedis.pid])
  add(rows, 'cache Redis', [fleet.cacheRedis.pid])
  return rows
}

function add(rows: ProcessMemory[], name: string, pids: readonly number[]): void {
  const parts = pids.map(memoryOf).filter((part) => part !== null)
  if (parts.length === 0) return
  rows.push({
    name,
    pssMb: parts.reduce((sum, { pssMb }) => sum + pssMb, 0),
    privateMb: parts.reduce((sum, { privateMb }) => sum + privateMb, 0),
    sharedMb: parts.reduce((sum, { sharedMb }) => sum + sharedMb, 0),
  })
}
