/**
 * Ends a process when the launcher is gone, even by `kill -9`: a small shell waits on a pipe that only the launcher
 * holds open. For children that cannot notice it themselves (Redis); gateways and workers see their IPC channel close.
 */
import { spawn } from 'node:child_process'

/** A line means "no longer needed"; the end of the pipe without one means that the launcher died. */
const script = 'read -r line || kill -TERM "$1" 2>/dev/null'

/** @returns lets go of the process; call it when the process ended or is being stopped properly */
export function guard(pid: number): () => void {
  const shell = spawn('/bin/sh', ['-c', script, 'millrace-guard', String(pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.on('error', () => {})
  shell.stdin.on('error', () => {})
  shell.unref()
  return () => shell.stdin.end('done\n')
}
