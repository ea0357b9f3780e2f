/** Work that Ctrl-C ends: an abort, and exit code 130. */
import type { CommandIo } from './command-io.js'
import { CommandFailure, exitCode } from './exit-code.js'

/** @param words what to say when it was interrupted */
export async function interruptible<T>(
  { signals }: CommandIo,
  words: () => string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const abort = () => controller.abort(new CommandFailure(words(), exitCode.interrupted))
  signals.on('SIGINT', abort)
  signals.on('SIGTERM', abort)
  try {
    return await work(controller.signal)
  } finally {
    signals.off('SIGINT', abort)
    signals.off('SIGTERM', abort)
  }
}
