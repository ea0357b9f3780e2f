/** Result bytes as JSON. The text of a vector that the cache holds is kept beside it: a hot text is written out once. */
import { decodeResult, isVectorResult, vectorBytes } from '@millrace/cache'
import type { ItemError } from '@millrace/contracts'
import type { JobIdentity } from '@millrace/jobs'
import { LRUCache } from 'lru-cache'
import type { JsonBytes } from './json-bytes.js'
import { rankedLabels, scoreNumber } from './scores.js'

/** How a client wants results written out. */
export type ResultForm = Pick<JobIdentity, 'encoding' | 'topK' | 'rawScores'>

export class ResultTexts {
  /** By the bytes' identity: the result cache hands out the same Buffer for as long as it holds it. */
  readonly #texts: LRUCache<Buffer, Buffer>

  constructor(maxBytes: number) {
    this.#texts = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: (text) => text.length + 200,
    })
  }

  /**
   * The JSON of one item's result: numbers or a base64 string; `[{ "label": ..., "score": ... }]`; `{ "score": ... }`;
   * `[{ "score", "token", "token_str", "sequence" }]`; or `{ "error": ... }`.
   * @param held whether the result cache holds these very bytes: the text of others, just computed or read from a record,
   * would never be found again
   */
  write(json: JsonBytes, bytes: Buffer, form: ResultForm, held: boolean): void {
    if (!isVectorResult(bytes)) json.text(smallText(bytes, form))
    else if (form.encoding === 'base64') json.text(`"${vectorBytes(bytes).toString('base64')}"`)
    else this.#writeNumbers(json, bytes, held)
  }

  #writeNumbers(json: JsonBytes, bytes: Buffer, held: boolean): void {
    const known = this.#texts.get(bytes)
    if (known) {
      json.bytes(known)
      return
    }
    const start = json.length
    json.floats(vectorOf(bytes))
    if (held) this.#texts.set(bytes, json.since(start))
  }
}

export function itemErrorText({ code, detail }: ItemError): string {
  return JSON.stringify({ error: { code, detail } })
}

/** As transformers' pipeline gives by default. */
const defaultCandidates = 5

/** Whatever is written as fast as it is looked up. */
function smallText(bytes: Buffer, { topK, rawScores = false }: ResultForm): string {
  const result = decodeResult(bytes)
  switch (result.kind) {
    case 'error':
      return itemErrorText(result.error)
    case 'labels':
      return JSON.stringify(rankedLabels(result.labels, result.scores, topK))
    case 'score':
      return JSON.stringify({ score: scoreNumber(result.score, rawScores) })
    case 'candidates':
      return JSON.stringify(result.candidates.slice(0, topK ?? defaultCandidates))
    case 'value':
      return JSON.stringify(result.value)
    case 'vector':
      throw new Error('a vector was taken for something small')
  }
}

function vectorOf(bytes: Buffer): Float32Array {
  const result = decodeResult(bytes)
  if (result.kind !== 'vector') throw new Error('something else was taken for a vector')
  return result.values
}
