/** Bodies of submits, parsed and checked by their schema. A hot one is parsed once: the same text means the same. */
import { MillraceError, type SubmitJob, submitJobSchema } from '@millrace/contracts'
import { LRUCache } from 'lru-cache'
import { invalidRequest } from './invalid-request.js'
import { refuseWide } from './refuse-wide.js'

/** Longer bodies are seldom hot, and would push out many that are. */
const maxBodyChars = 4096
const maxChars = 1 << 20

export class SubmitBodies {
  readonly #parsed = new LRUCache<string, SubmitJob>({
    maxSize: maxChars,
    sizeCalculation: (_, text) => Math.max(1, text.length),
  })

  /** Nobody may change what this answers. @throws MillraceError malformed_json, invalid_request */
  parse(text: string): SubmitJob {
    if (text.length > maxBodyChars) return parseBody(text)
    let body = this.#parsed.get(text)
    if (body === undefined) {
      body = parseBody(text)
      this.#parsed.set(text, body)
    }
    return body
  }
}

function parseBody(text: string): SubmitJob {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new MillraceError('malformed_json', error.message.replace(/, ".*$/s, ''), { cause: error })
  }
  refuseWide(json, 'inputs')
  const parsed = submitJobSchema.safeParse(json)
  if (parsed.success) return parsed.data
  throw invalidRequest(parsed.error)
}
