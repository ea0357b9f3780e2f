/**
 * Owns: the one way to make a logger. JSON lines, or pretty ones in a terminal; in this thread either way. What is
 * logged passes `redact` first, bindings too. Knows no request and no job: ids come in as bindings.
 */
import { createRequire } from 'node:module'
import { type Bindings, type DestinationStream, type LogFn, type Logger as PinoLogger, pino } from 'pino'
import type { PrettyOptions } from 'pino-pretty'
import { scrubText } from './mask-url.js'
import { redact } from './redact.js'

export type Logger = PinoLogger
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface LoggerOptions {
  level: LogLevel
  /** The process: `gateway`, `worker`, `courier`, `millrace`. */
  name: string
  /** Lines for people. Default: whether stdout is a terminal. */
  pretty?: boolean
  /** In every line: a worker's id, for one. */
  bindings?: Record<string, unknown>
  /** Where lines go. Default: stdout, written synchronously so that a crash loses none. */
  destination?: { write(line: string): void }
}

export function createLogger(options: LoggerOptions): Logger {
  const out = options.destination ?? pino.destination({ fd: 1, sync: true })
  const pretty = options.pretty ?? process.stdout.isTTY === true
  const logger = pino(
    {
      level: options.level,
      base: { name: options.name, pid: process.pid, ...redact(options.bindings ?? {}) },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: redact },
      // `redact` has made plain data of every error already.
      serializers: { err: (error: unknown) => error },
      hooks: { streamWrite: scrubText, logMethod: cleanMessageArguments },
    },
    pretty ? prettyStream(out, options.destination === undefined) : out,
  )
  return withCleanBindings(logger)
}

/** What is formatted into a message (`%o`) passes no formatter either. The first argument does, when it is an object. */
function cleanMessageArguments(this: Logger, args: unknown[], method: LogFn): void {
  const clean = args.map((value, index) => {
    return index === 0 || typeof value !== 'object' || value === null ? value : redact({ value }).value
  })
  Reflect.apply(method, this, clean)
}

/** pino gives the bindings of a child to no formatter, so they are cleaned on their way in. Children inherit this. */
function withCleanBindings(logger: Logger): Logger {
  const { child, setBindings } = logger
  Object.assign(logger, {
    child(this: Logger, bindings: Bindings, ...rest: unknown[]) {
      return Reflect.apply(child, this, [redact(bindings), ...rest])
    },
    setBindings(this: Logger, bindings: Bindings) {
      Reflect.apply(setBindings, this, [redact(bindings)])
    },
  })
  return logger
}

/** As a stream in this thread, not as a pino transport: that would be a worker thread and its memory. */
function prettyStream(out: { write(line: string): void }, color: boolean): DestinationStream {
  const { prettyFactory, isColorSupported } = createRequire(import.meta.url)('pino-pretty') as {
    prettyFactory(options: PrettyOptions): (line: string) => string
    isColorSupported: boolean
  }
  const format = prettyFactory({
    colorize: color && isColorSupported,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  })
  return { write: (line) => out.write(format(line)) }
}
