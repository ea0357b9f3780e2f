/**
 * One launcher per data folder: a file with the pid of the one that runs. A lock whose process is gone, or whose pid
 * now belongs to another process, is stale and taken over.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LaunchError } from './launch-error.js'

export interface Lock {
  /** A launcher before this one ended without cleaning up: what it started may still be stopping. */
  readonly tookOver: boolean
  release(): void
}

interface Holder {
  pid: number
  /** When that process began, as /proc says it; null where there is no /proc. Tells a reused pid from the holder. */
  began: string | null
}

/** @throws LaunchError when a launcher runs in this folder, or the folder cannot be written */
export function acquireLock(dataDir: string, pid: number = process.pid): Lock {
  const file = join(dataDir, 'up.lock')
  const own = `${file}.${pid}`
  const text = JSON.stringify({ pid, began: processBegan(pid) } satisfies Holder)
  try {
    mkdirSync(dataDir, { recursive: true })
    writeFileSync(own, text)
  } catch (error) {
    throw new LaunchError(
      `The data folder cannot be written (setting: MILLRACE_DATA_DIR): ${messageOf(error)}`,
    )
  }
  try {
    let tookOver = false
    // linkSync makes the lock with its content in one step, so nobody ever reads half a lock.
    while (!linked(own, file)) {
      if (removeIfStale(file, `${own}.stale`, dataDir)) tookOver = true
    }
    return {
      tookOver,
      release: () => {
        if (read(file) === text) rmSync(file, { force: true })
      },
    }
  } finally {
    rmSync(own, { force: true })
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw new LaunchError(`The lock ${to} cannot be made: ${messageOf(error)}`)
  }
}

/** @returns true when a stale lock was there and is gone now */
function removeIfStale(file: string, aside: string, dataDir: string): boolean {
  const seen = read(file)
  if (seen === undefined) return false
  const holder = parse(seen)
  if (holder !== undefined && isAlive(holder)) {
    throw new LaunchError(
      `Millrace is running already with this data folder (${dataDir}), as process ${holder.pid}. ` +
        `Use that one, or stop it first: Ctrl-C in its terminal, or \`kill ${holder.pid}\`.`,
    )
  }
  try {
    renameSync(file, aside)
  } catch {
    return false // another launcher was quicker
  }
  // Between reading and renaming, another launcher may have put its own lock there: then it goes back.
  const wasStale = read(aside) === seen
  if (!wasStale) linked(aside, file)
  rmSync(aside, { force: true })
  return wasStale
}

function isAlive(holder: Holder): boolean {
  if (holder.pid === process.pid && holder.began !== processBegan(process.pid)) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false
  }
  const began = processBegan(holder.pid)
  return began === null || holder.began === null || began === holder.began
}

/** Field 22 of /proc/<pid>/stat: clock ticks between boot and the start of the process. */
function processBegan(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return null
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return afterName[19] ?? null
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function parse(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('began' in value))
      return undefined
    const { pid, began } = value
    if (typeof pid !== 'number' || pid < 1 || !(typeof began === 'string' || began === null)) return undefined
    return { pid, began }
  } catch {
    return undefined
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
