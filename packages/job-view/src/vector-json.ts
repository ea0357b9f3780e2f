/** Result bytes as JSON text. The text of a vector is kept beside the cache: a hot text is written out once. */
import { decodeResult, isErrorResult, vectorBytes } from '@millrace/cache'
import type { EmbeddingOptions, ItemError } from '@millrace/contracts'
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

/** 10^0 .. 10^22: the powers of ten that a double holds exactly, so that one division rounds correctly. */
const powers = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))
const mostDigits = 9

/**
 * The double whose decimal form is the short form of this float32: at most 9 significant digits, where the float32's
 * own double needs 17. By arithmetic, 0.1 ms per 384 numbers; by way of text it is five times that. JSON has no word
 * for NaN or infinity and writes null.
 */
export function shortFloat(value: number): number {
  const size = Math.abs(value)
  // Outside this range the powers above do not reach; no embedding is that small or large.
  if (!(size >= 1e-13 && size < 1e9)) return shortByText(value)
  const firstDigit = Math.floor(Math.log10(size))
  for (let digits = 6; digits <= mostDigits; digits++) {
    const power = powers[digits - 1 - firstDigit]
    if (power === undefined) continue
    const short = Math.round(value * power) / power
    if (Math.fround(short) === value) return short
  }
  return shortByText(value)
}

function shortByText(value: number): number {
  const short = Number(value.toPrecision(mostDigits))
  return Math.fround(short) === value ? short : value
}
