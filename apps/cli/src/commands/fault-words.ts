/** What a person reads when a command fails, and the exit code that goes with it. Pure. */
import { MillraceApiError, MillraceConnectionError, MillraceTimeoutError } from '@millrace/client'
import { ConfigError } from '@millrace/config'
import { CommanderError } from 'commander'
import { LaunchError } from '../launch-error.js'
import { configFaultExit } from '../supervise.js'
import { CommandFailure, exitCode } from './exit-code.js'

export interface Fault {
  /** Empty where everything is said already. */
  readonly words: string
  readonly code: number
}

export function faultOf(error: unknown): Fault {
  // Commander has written its message, or the help that was asked for.
  if (error instanceof CommanderError) {
    return { words: '', code: error.exitCode === 0 ? exitCode.ok : exitCode.usage }
  }
  if (error instanceof CommandFailure) return { words: error.message, code: error.code }
  if (error instanceof ConfigError) return { words: error.message, code: configFaultExit }
  return { words: wordsOf(error), code: exitCode.failed }
}

export function wordsOf(error: unknown): string {
  if (error instanceof MillraceApiError) {
    const request = error.requestId === null ? '' : ` (request ${error.requestId})`
    const key = error.status === 401 ? ' Give one with MILLRACE_KEY.' : ''
    return `${error.code}: ${error.message}${request}${key}`
  }
  if (error instanceof MillraceConnectionError) {
    return `${error.message}. Is the fleet up, and is --url (MILLRACE_URL) where it is?`
  }
  if (error instanceof MillraceTimeoutError || error instanceof LaunchError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
