/**
 * Owns: what of a log object may be printed. Secrets and inputs are found by their name at any depth, errors become
 * plain data with their causes, bytes become their size. Knows no logger.
 */
import { scrubText } from './mask-url.js'

export const censor = '[Redacted]'

/** Never printed, whatever the value is. */
const secretName =
  /(authorization|password|passwd|passphrase|secret|cookie|api_?key|admin_?key)$|^(access_?)?token$/

/** Carries what a client sent or got: only a number or a flag under such a name is printed (`inputs: 3`). */
const contentName =
  /^(raw_?)?(input|text|prompt|body|output|vector|embedding|result|document|quer(y|ie))s?$|(_|\.)(input|text)s?$/

const deepest = 6
const mostNodes = 1000
const mostElements = 50

/** A copy that is safe to serialise: no cycle, no getter that throws, bounded in depth and size. */
export function redact(value: Record<string, unknown>): Record<string, unknown> {
  return copyObject(value, 0, { nodes: 0 })
}

/** Type, code, message, stack and the chain of causes. Other fields stay out: a command's arguments are inputs. */
export function serializeError(error: Error): Record<string, unknown> {
  return copyError(error, 0)
}

interface Budget {
  nodes: number
}

function copy(value: unknown, depth: number, budget: Budget): unknown {
  if (typeof value === 'string') return scrubText(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return copyError(value, 0)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof URL) return scrubText(value.href)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `[${value.constructor.name} of ${value.byteLength} bytes]`
  }
  if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`
  if (depth >= deepest || ++budget.nodes > mostNodes) return Array.isArray(value) ? '[Array]' : '[Object]'
  if (!Array.isArray(value)) return copyObject(value, depth + 1, budget)
  const elements = value.slice(0, mostElements).map((element) => copy(element, depth + 1, budget))
  if (value.length > mostElements) elements.push(`... ${value.length - mostElements} more`)
  return elements
}

function copyObject(value: object, depth: number, budget: Budget): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    result[key] = copyField(value, key, depth, budget)
  }
  return result
}

function copyField(owner: object, key: string, depth: number, budget: Budget): unknown {
  let value: unknown
  try {
    value = Reflect.get(owner, key)
  } catch {
    return '[Unreadable]'
  }
  if (value === undefined || value === null || typeof value === 'function') return value
  const name = key
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[-\s]/g, '_')
    .toLowerCase()
  if (secretName.test(name)) return censor
  if (contentName.test(name) && typeof value !== 'number' && typeof value !== 'boolean') return censor
  return copy(value, depth, budget)
}

function copyError(error: Error, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {
    type: error.constructor?.name || error.name,
    message: scrubText(String(error.message)),
  }
  if ('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')) {
    result.code = error.code
  }
  if (typeof error.stack === 'string') result.stack = scrubText(error.stack)
  if (depth >= deepest) return result
  if (error.cause instanceof Error) result.cause = copyError(error.cause, depth + 1)
  else if (typeof error.cause === 'string') result.cause = scrubText(error.cause)
  if (error instanceof AggregateError) {
    result.errors = error.errors
      .slice(0, 4)
      .map((inner: unknown) => (inner instanceof Error ? copyError(inner, depth + 1) : '[not an error]'))
  }
  return result
}
