/** How a command ends: the exit codes of docs/cli.md, and the error that carries one. */

export const exitCode = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const

/** Ends the command with `code`. The message is for the person at the terminal; no stack is shown. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly code: number

  constructor(message: string, code: number = exitCode.failed, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
