/** Result bytes as JSON text. The text of a vector is kept beside the cache: a hot text is written out once. */
import { decodeResult, isErrorResult, vectorBytes } from '@millrace/cache'
import type { EmbeddingOptions } from '@millrace/contracts'
import { LRUCache } from 'lru-cache'

type Encoding = EmbeddingOptions['encoding']

export class ResultTexts {
  /** By the bytes' identity: the result cache hands out the same Buffer for as long as it holds it. */
  readonly #texts: LRUCache<Buffer, string>

  constructor(maxBytes: number) {
    this.#texts = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: (text) => text.length + 200,
    })
  }

  /** The JSON of one item's result: numbers, a base64 string, or `{ "error": ... }`. */
  textOf(bytes: Buffer, encoding: Encoding): string {
    if (isErrorResult(bytes)) return errorText(bytes)
    if (encoding === 'base64') return `"${vectorBytes(bytes).toString('base64')}"`
    let text = this.#texts.get(bytes)
    if (text === undefined) {
      text = numbersText(bytes)
      this.#texts.set(bytes, text)
    }
    return text
  }
}

function errorText(bytes: Buffer): string {
  const result = decodeResult(bytes)
  if (result.kind !== 'error') throw new Error('a vector was taken for an error')
  return JSON.stringify({ error: result.error })
}

function numbersText(bytes: Buffer): string {
  const result = decodeResult(bytes)
  if (result.kind !== 'vector') throw new Error('an error was taken for a vector')
  return `[${Array.from(result.values, shortest).join(',')}]`
}

/**
 * The shortest decimal that reads back as the same float32: at most 9 significant digits, where a double needs 17.
 * JSON has no word for NaN or infinity; a model that gives them gives null.
 */
export function shortest(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  for (let digits = 7; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return String(short)
  }
  return String(Number(value.toPrecision(9)))
}
