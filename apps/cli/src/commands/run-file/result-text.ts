/** Results as lines of JSON. Pure. */
import { decodeEmbedding } from '@millrace/client'
import type { LineResult } from './input-item.js'

export type FileEncoding = 'float' | 'base64'

/** A line of the output: `{ index, id?, output }`, or `{ index, id?, error }` in the place of a line that failed. */
export function resultText(result: LineResult, encoding: FileEncoding): string {
  const { index, id } = result
  if ('error' in result) return `${JSON.stringify({ index, id, error: result.error })}\n`
  const { output } = result
  const written = typeof output === 'string' && encoding === 'float' ? numbersOf(output) : output
  return `${JSON.stringify({ index, id, output: written })}\n`
}

/** A line of the errors file. It holds the input, so that the file itself can be run once the cause is gone. */
export function failureText(result: LineResult): string {
  if (!('error' in result)) return ''
  const { index, id, input, error } = result
  return `${JSON.stringify({ index, id, input, error })}\n`
}

function numbersOf(base64: string): number[] {
  return Array.from(decodeEmbedding(base64), shortFloat)
}

/** Powers of ten that a double holds exactly, so that one division rounds correctly. */
const powers = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

/**
 * The double whose decimal form is the short form of this float32, as the API's own JSON has it: at most 9 digits, where the
 * float32's own double needs 17. Half the file.
 */
export function shortFloat(value: number): number {
  const firstDigit = Math.floor(Math.log10(Math.abs(value)))
  for (let digits = 6; digits <= 9; digits++) {
    const power = powers[digits - 1 - firstDigit]
    if (power === undefined) break
    const short = Math.round(value * power) / power
    if (Math.fround(short) === value) return short
  }
  const short = Number(value.toPrecision(9))
  return Math.fround(short) === value ? short : value
}
