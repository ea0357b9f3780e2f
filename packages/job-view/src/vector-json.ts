/** Result bytes as JSON text. The text of a vector that the cache holds is kept beside it: a hot text is written out once. */
import { decodeResult, isVectorResult, vectorBytes } from '@millrace/cache'
import type { ItemError } from '@millrace/contracts'
import type { JobIdentity } from '@millrace/jobs'
import { LRUCache } from 'lru-cache'
import { floatsText } from './float-text.js'
import { rankedLabels, scoreNumber } from './scores.js'

/** How a client wants results written out. */
export type ResultForm = Pick<JobIdentity, 'encoding' | 'topK' | 'rawScores'>

export class ResultTexts {
  /** By the bytes' identity: the result cache hands out the same Buffer for as long as it holds it. */
  readonly #texts: LRUCache<Buffer, string>

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
  textOf(bytes: Buffer, form: ResultForm, held: boolean): string {
    if (!isVectorResult(bytes)) return smallText(bytes, form)
    if (form.encoding === 'base64') return `"${vectorBytes(bytes).toString('base64')}"`
    let text = this.#texts.get(bytes)
    if (text === undefined) {
      text = numbersText(bytes)
      if (held) this.#texts.set(bytes, text)
    }
    return text
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

function numbersText(bytes: Buffer): string {
  const result = decodeResult(bytes)
  if (result.kind !== 'vector') throw new Error('something else was taken for a vector')
  return floatsText(result.values)
}
