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
 * The double whose decimal form has at most 9 digits and is still this float32, where the float32's own double needs 17:
 * half the file. Where 9 digits by arithmetic do not come back (far from 1), the double as it is.
 */
export function shortFloat(value: number): number {
  const power = powers[8 - Math.floor(Math.log10(Math.abs(value)))]
  const short = power === undefined ? Number(value.toPrecision(9)) : Math.round(value * power) / power
  return Math.fround(short) === value ? short : value
}
