/** Memory and CPU of the fleet's processes, as Linux accounts them. Elsewhere there is nothing to read, and none is made up. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export interface Memory {
  /** Own pages, and of each shared one the share of this process. */
  pssMb: number
  /** Private_Clean + Private_Dirty + Swap: pages that no other process maps at the moment. */
  privateMb: number
  /** Shared_Clean + Shared_Dirty: pages that others map too. */
  sharedMb: number
}

/** Memory of one process by /proc/<pid>/smaps_rollup, or null where the system does not tell. */
export function memoryOf(pid: number): Memory | null {
  const file = `/proc/${pid}/smaps_rollup`
  if (!existsSync(file)) return null
  const text = readFileSync(file, 'utf8')
  const kb = (name: string) => Number(text.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0)
  const mb = (...names: string[]) => names.reduce((sum, name) => sum + kb(name), 0) / 1024
  return {
    pssMb: mb('Pss'),
    privateMb: mb('Private_Clean', 'Private_Dirty', 'Swap'),
    sharedMb: mb('Shared_Clean', 'Shared_Dirty'),
  }
}

/** The direct children of a process: a worker's model processes. */
export function childrenOf(pid: number): number[] {
  const tasks = `/proc/${pid}/task`
  if (!existsSync(tasks)) return []
  return readdirSync(tasks).flatMap((task) =>
    readFileSync(`${tasks}/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
}

/** CPU seconds a process has used so far; 0 where the system does not tell. */
export function cpuSecondsOf(pid: number): number {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) return 0
  // Fields after the name, which may itself hold spaces: utime and stime are the 12th and 13th.
  const fields = readFileSync(file, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
