/** Results as lines of JSON. Pure. */
import { decodeEmbedding } from '@millrace/client'
import { shortFloat } from '@millrace/contracts'
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
