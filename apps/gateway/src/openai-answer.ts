/** The answer of OpenAI's embeddings route, written out by hand around vectors that may be JSON already. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Encoding } from '@millrace/contracts'
import { jsonBytes, type ResultTexts } from '@millrace/job-view'
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
export async function embeddingsJson(embedded: Embedded, texts: ResultTexts): Promise<Buffer<ArrayBuffer>> {
  const { single, slots, results, held, encoding, model, promptTokens } = embedded
  refuseFailed(embedded, (i) => (single ? 'input' : `input[${i}]`))
  const pieces = [Buffer.from('{"object":"list","data":[')]
  for (const [index, slot] of slots.entries()) {
    const bytes = results.get(slot)
    if (bytes) {
      const entry = jsonBytes((json) => {
        json.text(`${pieces.length > 1 ? ',' : ''}{"object":"embedding","index":${index},"embedding":`)
        texts.write(json, bytes, { encoding }, held)
        json.text('}')
      })
      pieces.push(entry)
    }
    if (index % turnItems === turnItems - 1) await nextTurn()
  }
  const usage = JSON.stringify({ prompt_tokens: promptTokens, total_tokens: promptTokens })
  pieces.push(Buffer.from(`],"model":${JSON.stringify(model)},"usage":${usage}}`))
  return Buffer.concat(pieces)
}
