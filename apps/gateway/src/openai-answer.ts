/** The answer of OpenAI's embeddings route, written out by hand around vectors that are JSON text already. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { decodeResult, isErrorResult } from '@millrace/cache'
import { type EmbeddingOptions, type FieldError, type ItemError, MillraceError } from '@millrace/contracts'
import type { ResultTexts } from '@millrace/job-view'
import { maxReportedFaults } from './error-response.js'

/** Vectors written in one turn of the event loop: others wait some 5 ms for us. */
const turnItems = 64

/** In the place of an item that a settled job has no result of. */
const notComputed: ItemError = { code: 'inference_failed', detail: 'this input was not computed' }

export interface Embedded {
  model: string
  single: boolean
  encoding: EmbeddingOptions['encoding']
  slots: readonly number[]
  /** Item result bytes by slot. */
  results: ReadonlyMap<number, Buffer>
  promptTokens: number
}

/** @throws MillraceError where an input failed: this form has no place for the error of one */
export async function embeddingsText(embedded: Embedded, texts: ResultTexts): Promise<string> {
  const { slots, results, encoding, model, promptTokens } = embedded
  refuseFailed(embedded)
  const data: string[] = []
  for (const [index, slot] of slots.entries()) {
    const bytes = results.get(slot)
    if (bytes) {
      data.push(`{"object":"embedding","index":${index},"embedding":${texts.textOf(bytes, encoding)}}`)
    }
    if (index % turnItems === turnItems - 1) await nextTurn()
  }
  const usage = JSON.stringify({ prompt_tokens: promptTokens, total_tokens: promptTokens })
  return `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(model)},"usage":${usage}}`
}

function refuseFailed({ slots, results, single }: Embedded): void {
  const errors: FieldError[] = []
  for (const [i, slot] of slots.entries()) {
    const error = errorOf(results.get(slot))
    if (error) errors.push({ path: single ? 'input' : `input[${i}]`, ...error })
    if (errors.length === maxReportedFaults) break
  }
  const [first] = errors
  if (first) throw new MillraceError(first.code, `${first.path}: ${first.detail}`, { errors })
}

function errorOf(bytes: Buffer | undefined): ItemError | undefined {
  if (!bytes) return notComputed
  if (!isErrorResult(bytes)) return undefined
  const result = decodeResult(bytes)
  return result.kind === 'error' ? result.error : undefined
}
