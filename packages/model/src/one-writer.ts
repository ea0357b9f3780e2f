/**
 * One process at a time does a piece of work, also between containers that share a folder. The lock saves work only:
 * whoever holds it must still publish by a rename, for the lock of a process that stood still can be taken away.
 */
import { open, rm, stat, utimes } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

export interface OneWriterOptions {
  /** Looked at before every try. */
  readonly done: () => Promise<boolean>
  readonly work: () => Promise<void>
  /** Longest wait for another's work. */
  readonly waitMs: number
  /** A lock that was not renewed for this long belongs to nobody. */
  readonly staleMs?: number
  readonly pollMs?: number
}

/**
 * Resolves when the work is done, by this process or by another.
 * @throws Error when another holds the lock for longer than `waitMs`; whatever `work` throws
 */
export async function oneWriter(lock: string, options: OneWriterOptions): Promise<void> {
  const { done, work, waitMs, staleMs = 15_000, pollMs = 100 } = options
  const until = performance.now() + waitMs
  while (!(await done())) {
    if (await take(lock)) {
      const renewal = setInterval(() => {
        const now = new Date()
        utimes(lock, now, now).catch(() => {})
      }, staleMs / 5)
      try {
        if (!(await done())) await work()
        return
      } finally {
        clearInterval(renewal)
        await rm(lock, { force: true })
      }
    }
    if (performance.now() > until)
      throw new Error(`Another process holds ${lock} for longer than ${waitMs} ms`)
    if (await isStale(lock, staleMs)) await rm(lock, { force: true })
    else await delay(pollMs)
  }
}

/** @throws the file system's error when the lock cannot be written at all */
async function take(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx')).close()
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

async function isStale(lock: string, staleMs: number): Promise<boolean> {
  const found = await stat(lock).catch(() => undefined)
  return found !== undefined && Date.now() - found.mtimeMs > staleMs
}
