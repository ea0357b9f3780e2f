/** The answer of OpenAI's embeddings route, written out by hand around vectors that are JSON text already. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Encoding } from '@millrace/contracts'
import type { ResultTexts } from '@millrace/job-view'
import { refuseFailed } from './refuse-failed.js'

/** Vectors written in one turn of the event loop: others wait some 5 ms for us. */
const turnItems = 64

export interface Embedded {
  model: string
  single: boolean
  encoding: Encoding
  slots: readonly number[]
  /** Item result bytes by slot. */
  results: ReadonlyMap<number, Buffer>
  /** Whether all results are the result cache's. */
  held: boolean
  promptTokens: number
}

/** @throws MillraceError where an input failed: this form has no place for the error of one */
export async function embeddingsText(embedded: Embedded, texts: ResultTexts): Promise<string> {
  const { single, slots, results, held, encoding, model, promptTokens } = embedded
  refuseFailed(embedded, (i) => (single ? 'input' : `input[${i}]`))
  const data: string[] = []
  for (const [index, slot] of slots.entries()) {
    const bytes = results.get(slot)
    if (bytes) {
      const numbers = texts.textOf(bytes, { encoding }, held)
      data.push(`{"object":"embedding","index":${index},"embedding":${numbers}}`)
    }
    if (index % turnItems === turnItems - 1) await nextTurn()
  }
  const usage = JSON.stringify({ prompt_tokens: promptTokens, total_tokens: promptTokens })
  return `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(model)},"usage":${usage}}`
}
