/** One line of a child's output as a person reads it: pino's JSON becomes time, level, message and fields. Pure. */
import { type Paint, plainPaint } from './paint.js'

const levelColors: Record<string, keyof Paint> = {
  trace: 'dim',
  debug: 'dim',
  info: 'green',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
}
/** Said once by the prefix, or of no use to a reader at a terminal. */
const omitted = new Set(['level', 'time', 'msg', 'pid', 'name'])

/** @returns the line, readable; text that is not a pino record comes back as it is */
export function readableLine(text: string, paint: Paint = plainPaint): string {
  const record = parse(text)
  if (record === undefined) return text
  const level = String(record.level)
  const color = levelColors[level] ?? 'dim'
  const fields = Object.entries(record).filter(([name]) => !omitted.has(name))
  const error = fields.find(([name]) => name === 'err')?.[1]
  const rest = fields.filter(([name]) => name !== 'err').map(([name, value]) => `${name}=${show(value)}`)
  const parts = [
    paint.dim(clock(record.time)),
    paint[color](level.padEnd(5)),
    String(record.msg ?? ''),
    paint.dim(rest.join(' ')),
  ]
  const stack = stackOf(error)
  return parts.filter((part) => part !== '').join(' ') + (stack === '' ? '' : `\n${stack}`)
}

function parse(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const value = JSON.parse(text) as Record<string, unknown>
    return 'level' in value ? value : undefined
  } catch {
    return undefined
  }
}

/** `HH:MM:SS`, local time, from milliseconds or an ISO string. */
function clock(time: unknown): string {
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN)
  if (Number.isNaN(date.getTime())) return ''
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':')
}

function show(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
}

function stackOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const text = 'stack' in error ? error.stack : 'message' in error ? error.message : undefined
  return typeof text === 'string' ? text.replace(/^/gm, '    ') : ''
}
