/** Bodies of submits, parsed and checked by their schema. A hot one is parsed once: the same text means the same. */
import { type SubmitJob, submitJobSchema } from '@millrace/contracts'
import { LRUCache } from 'lru-cache'
import { invalidRequest } from './invalid-request.js'
import { parseJson } from './json-body.js'
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
  const json = parseJson(text)
  refuseWide(json, 'inputs')
  const parsed = submitJobSchema.safeParse(json)
  if (parsed.success) return parsed.data
  throw invalidRequest(parsed.error)
}
