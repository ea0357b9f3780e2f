/** A command as it runs at a terminal, or in a script, with what it wrote and how it ended. For tests only. */
import { EventEmitter } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { Command } from 'commander'
import type { CommandIo } from '../commands/command-io.js'
import { faultOf } from '../commands/fault-words.js'

export interface CommandRun {
  readonly io: CommandIo
  readonly signals: EventEmitter
  out(): string
  err(): string
  /** The exit code, and the words of the fault, if there was one. */
  end(command: Command, args: readonly string[]): Promise<{ code: number; words: string }>
}

export function commandRun(options: { stdin?: string | Readable; terminal?: boolean } = {}): CommandRun {
  const { stdin = '' } = options
  const written = { out: '', err: '' }
  const sink = (name: 'out' | 'err') =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          written[name] += String(chunk)
          done()
        },
      }),
      { isTTY: options.terminal === true, columns: 200 },
    )
  const signals = new EventEmitter()
  const io = {
    stdin: typeof stdin === 'string' ? Readable.from([Buffer.from(stdin)]) : stdin,
    stdout: sink('out'),
    stderr: sink('err'),
    signals,
  }
  return {
    io,
    signals,
    out: () => written.out,
    err: () => written.err,
    async end(command, args) {
      throwFaults(command)
      try {
        await command.parseAsync(args, { from: 'user' })
        return { code: 0, words: '' }
      } catch (error) {
        return faultOf(error)
      }
    },
  }
}

/** In every command, also one in a command; silently. */
function throwFaults(command: Command): void {
  command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} })
  command.commands.forEach(throwFaults)
}
