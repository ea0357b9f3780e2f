/**
 * Runs one command of the set-up: silent while it works, its whole output when it fails, and stopped together with
 * us. Knows nothing of what the commands are for.
 */
import { spawn } from 'node:child_process'

/** A step that failed. Its message is written for the user and needs no stack. */
export class StepError extends Error {}

const running = new Set()

/** Passes Ctrl-C and SIGTERM to the step in hand, then ends with the usual status of that signal. */
export function stopWithSteps() {
  const stop = (signal, status) => {
    for (const child of running) child.kill(signal)
    process.exit(status)
  }
  const onInterrupt = () => stop('SIGINT', 130)
  const onTerminate = () => stop('SIGTERM', 143)
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  return () => {
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, show?: boolean }} options `show`: output goes
 *   straight to the terminal
 * @returns {Promise<{ status: number, output: string }>} status 127 when there is no such command; never rejects
 */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env || process.env,
      stdio: options.show ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let output = ''
    const collect = (stream) => {
      if (stream === null) return
      stream.setEncoding('utf8')
      stream.on('data', (text) => {
        output += text
      })
    }
    collect(child.stdout)
    collect(child.stderr)
    const settle = (status) => {
      running.delete(child)
      resolve({ status, output })
    }
    child.on('error', (error) => {
      output += error.message
      settle(error.code === 'ENOENT' ? 127 : 126)
    })
    child.on('close', (code) => settle(code === null ? 1 : code))
  })
}

/**
 * Runs a step, says how long it took, and prints what it said when it failed.
 * @throws StepError
 */
export async function step(title, command, args, options = {}) {
  const begin = Date.now()
  process.stdout.write(`${title} ... `)
  const { status, output } = await run(command, args, options)
  if (status === 0) {
    process.stdout.write(`${((Date.now() - begin) / 1000).toFixed(1)} s\n`)
    return
  }
  process.stdout.write('failed\n')
  if (output.trim() !== '') console.error(`\n${output.trimEnd()}\n`)
  throw new StepError(`${title}: failed with status ${status}.`)
}
