/**
 * Removes what nobody has used for a month from the folder of prepared models: keys of earlier runtimes, models and CPUs,
 * and what killed writers left. Whoever uses a key renews its note (`renewPrepared`). On Linux a file that was removed all
 * the same stays mapped where it is; a process started later then finds none and serves the plain file.
 */
import { randomUUID } from 'node:crypto'
import { readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { noteFile } from './prepare-messages.js'

const day = 24 * 3600 * 1000
export const unusedAfterMs = 30 * day
export const renewEveryMs = day
/** A start is not held up by a folder full of old keys: the next start goes on. */
const mostRemoved = 16
/** A key, alone or with what stands beside it: a lock, a verdict, a half-written folder. */
const ownName = /^[0-9a-f]{64}(\.lock|\.unfit\.json|\.[0-9a-f-]{36}\.tmp)?$/

/** Marks a prepared folder as in use now. A folder that cannot be written keeps its age. */
export async function renewPrepared(dir: string, now = Date.now()): Promise<void> {
  const time = new Date(now)
  await utimes(join(dir, noteFile), time, time).catch(() => {})
}

/** @param parent the folder of all keys  @returns names of what was removed; never rejects */
export async function sweepPrepared(parent: string, now = Date.now()): Promise<string[]> {
  const names = await readdir(parent).catch(() => [])
  const removed: string[] = []
  for (const name of names.filter((one) => ownName.test(one))) {
    if (removed.length === mostRemoved) break
    const path = join(parent, name)
    if (now - (await lastUsedMs(path)) <= unusedAfterMs) continue
    if (await remove(path)) removed.push(name)
  }
  return removed
}

/** Of a whole folder its note says it; of all else its own time. */
async function lastUsedMs(path: string): Promise<number> {
  const note = await stat(join(path, noteFile)).catch(() => undefined)
  const found = note ?? (await stat(path).catch(() => undefined))
  return found?.mtimeMs ?? Number.POSITIVE_INFINITY
}

/** Out of the way first, so that nobody finds half a folder. */
async function remove(path: string): Promise<boolean> {
  const key = basename(path).slice(0, 64)
  const aside = join(dirname(path), `${key}.${randomUUID()}.tmp`)
  try {
    await rename(path, aside)
    await rm(aside, { recursive: true, force: true })
    return true
  } catch {
    return false
  }
}
