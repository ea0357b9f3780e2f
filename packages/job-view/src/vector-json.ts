/** Result bytes as JSON text. The text of a vector is kept beside the cache: a hot text is written out once. */
import { decodeResult, isErrorResult, vectorBytes } from '@millrace/cache'
import { type EmbeddingOptions, type ItemError, shortFloat } from '@millrace/contracts'
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

export function itemErrorText({ code, detail }: ItemError): string {
  return JSON.stringify({ error: { code, detail } })
}

function errorText(bytes: Buffer): string {
  const result = decodeResult(bytes)
  if (result.kind !== 'error') throw new Error('a vector was taken for an error')
  return itemErrorText(result.error)
}

function numbersText(bytes: Buffer): string {
  const result = decodeResult(bytes)
  if (result.kind !== 'vector') throw new Error('an error was taken for a vector')
  const { values } = result
  const numbers = new Array<number>(values.length)
  for (let i = 0; i < values.length; i++) numbers[i] = shortFloat(values[i] ?? 0)
  return JSON.stringify(numbers)
}
