/** How much memory this process can share with nobody: what mapped weights are meant to keep small. Linux only. */
import { readFile } from 'node:fs/promises'

/**
 * Private_Dirty of /proc/self/smaps_rollup (proc(5)). Not Private_Clean: those are pages of files that only this process
 * has mapped so far, such as the weights while it is the first; the next process shares them.
 * @returns bytes; null where the system does not say
 */
export async function privateBytes(): Promise<number | null> {
  const text = await readFile('/proc/self/smaps_rollup', 'utf8').catch(() => undefined)
  return text === undefined ? null : parsePrivateBytes(text)
}

export function parsePrivateBytes(rollup: string): number | null {
  const kilobytes = /^Private_Dirty: +(\d+) kB$/m.exec(rollup)?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}
