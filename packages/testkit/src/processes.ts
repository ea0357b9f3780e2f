/** Owns: what tests do to processes: wait for a line one prints, end one by its id and see that it is gone. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { eventually, type WaitOptions, within } from './eventually.js'

interface LineLog {
  readonly lines: string[]
  readonly waiting: Set<(line: string) => void>
  readonly ended: Promise<void>
}

const logs = new WeakMap<ChildProcess, LineLog>()

/**
 * The first line of stdout or stderr that fits `pattern`, printed already since the first call for this child or
 * still to come. Make the first call in the same turn as the spawn. Rejects when the child's output ends without it.
 */
export async function waitForLine(
  child: ChildProcess,
  pattern: RegExp,
  options: WaitOptions = {},
): Promise<RegExpMatchArray> {
  const log = logs.get(child) ?? startLog(child)
  for (const line of log.lines) {
    const match = line.match(pattern)
    if (match) return match
  }
  const timeoutMs = options.timeoutMs ?? 5000
  const tail = () => `; its last lines:\n${log.lines.slice(-15).join('\n')}`
  let offer: (line: string) => void = () => {}
  const found = new Promise<RegExpMatchArray>((resolve, reject) => {
    offer = (line) => {
      const match = line.match(pattern)
      if (match) resolve(match)
    }
    log.waiting.add(offer)
    log.ended.then(() => reject(new Error(`output ended without a line like ${pattern}${tail()}`)))
  })
  try {
    return await within(found, timeoutMs, () => `no line like ${pattern} within ${timeoutMs} ms${tail()}`)
  } finally {
    log.waiting.delete(offer)
  }
}

function startLog(child: ChildProcess): LineLog {
  const lines: string[] = []
  const waiting = new Set<(line: string) => void>()
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null)
  const ends = streams.map((input) => {
    const reader = createInterface({ input })
    reader.on('line', (line) => {
      lines.push(line)
      for (const offer of waiting) offer(line)
    })
    return new Promise<void>((resolve) => reader.once('close', resolve))
  })
  const log = { lines, waiting, ended: Promise.all(ends).then(() => undefined) }
  logs.set(child, log)
  return log
}

/** False also for a process that has ended but was not yet reaped by its parent. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
    return state !== 'Z' && state !== 'X'
  } catch {
    return process.platform !== 'linux'
  }
}

/** Signals one process, child or not, and resolves once it has ended. Resolves at once when there is none. */
export async function killProcess(
  pid: number,
  signal: NodeJS.Signals = 'SIGKILL',
  options: WaitOptions = {},
): Promise<void> {
  if (!isAlive(pid)) return
  process.kill(pid, signal)
  await eventually(() => !isAlive(pid), { what: `the end of process ${pid} after ${signal}`, ...options })
}
