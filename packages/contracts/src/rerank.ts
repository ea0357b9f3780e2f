/**
 * `POST /v1/rerank` as it travels over HTTP: the form that Cohere, Jina and vLLM share, so that their clients read it,
 * with `raw_scores` and `truncate` as text-embeddings-inference has them.
 */
import { z } from 'zod'
import { usageSchema } from './classify.js'

export type RerankDocument = string | { text: string }

/** How many documents there may be is configuration, so the gateway checks that. null counts as absent. */
export const rerankSchema = z
  .strictObject({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    query: z.string(),
    // By hand: zod would tell of each of a million faulty elements, and try each shape on all of them.
    documents: z
      .custom<RerankDocument[]>(isDocuments, { error: 'give an array of strings, or of { text }' })
      .meta({
        type: 'array',
        items: {
          anyOf: [
            { type: 'string' },
            { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
          ],
        },
      }),
    top_n: z.number().int().min(1).nullish().describe('Only so many results, the best; all by default'),
    return_documents: z
      .boolean()
      .nullish()
      .describe('Whether each result holds its document; false by default'),
    raw_scores: z
      .boolean()
      .nullish()
      .describe("The model's own number instead of its sigmoid, which lies between 0 and 1"),
    truncate: z
      .boolean()
      .nullish()
      .describe(
        'Cut a query and document that are too long together, the longer of the two first, instead of refusing',
      ),
  })
  .meta({ id: 'Rerank' })
export type Rerank = z.infer<typeof rerankSchema>

export const rerankResultSchema = z.object({
  index: z.number().int().describe('Of the document, as given'),
  relevance_score: z.number(),
  document: z.object({ text: z.string() }).optional(),
})

export const rerankListSchema = z
  .object({
    model: z.string(),
    results: z.array(rerankResultSchema).describe('Best first'),
    usage: usageSchema,
  })
  .meta({ id: 'RerankList' })

/** Further fields of a document are passed over: Cohere's documents may carry some. */
function isDocuments(given: unknown): given is RerankDocument[] {
  return Array.isArray(given) && given.every((one) => typeof one === 'string' || hasText(one))
}

function hasText(one: unknown): one is { text: string } {
  return typeof one === 'object' && one !== null && 'text' in one && typeof one.text === 'string'
}
