/** OpenAI's embeddings route as it travels over HTTP, for programs that were written against OpenAI. */
import { z } from 'zod'
import { errorCodeSchema } from './problem.js'
import { embeddingSchema, encodings } from './tasks/index.js'

/** Token ids are those of the model's own tokenizer. */
export type EmbeddingsInput = string | string[] | number[] | number[][]

const inputShapes = 'a string, an array of strings, an array of token ids, or an array of such arrays'
const tokenIdsJson = { type: 'array', items: { type: 'integer', minimum: 0 } }

/**
 * Fields that are not here are ignored: clients and proxies send some of their own, and OpenAI adds new ones. null counts
 * as absent. How many inputs there may be is configuration, so the gateway checks that.
 */
export const createEmbeddingsSchema = z
  .object({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    // By hand: zod would tell of each of a million faulty elements, and try each shape on all of them.
    input: z.custom<EmbeddingsInput>(isEmbeddingsInput, { error: `give ${inputShapes}` }).meta({
      type: ['string', 'array'],
      anyOf: [
        { type: 'string' },
        { type: 'array', items: { type: 'string' } },
        tokenIdsJson,
        { type: 'array', items: tokenIdsJson },
      ],
      description: `${inputShapes[0]?.toUpperCase()}${inputShapes.slice(1)}`,
    }),
    encoding_format: z
      .enum(encodings)
      .nullish()
      .describe('`float` (default): an array of numbers; `base64`: little-endian float32 bytes'),
    dimensions: z.number().int().min(1).nullish().describe("Only the model's own number is taken"),
    user: z.string().nullish().describe('Ignored'),
  })
  .meta({ id: 'CreateEmbeddings' })
export type CreateEmbeddings = z.infer<typeof createEmbeddingsSchema>

export const embeddingListSchema = z
  .object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        object: z.literal('embedding'),
        index: z.number().int(),
        embedding: embeddingSchema,
      }),
    ),
    model: z.string(),
    usage: z
      .object({ prompt_tokens: z.number().int(), total_tokens: z.number().int() })
      .describe(
        "The model's own tokens, special ones included; 0 where the gateway has not the model's files",
      ),
  })
  .meta({ id: 'EmbeddingList' })
export type EmbeddingList = z.infer<typeof embeddingListSchema>

export const openAiErrorTypes = [
  'invalid_request_error',
  'authentication_error',
  'permission_error',
  'rate_limit_error',
  'server_error',
] as const
export type OpenAiErrorType = (typeof openAiErrorTypes)[number]

/** The form of every error answer of OpenAI's routes. */
export const openAiErrorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.enum(openAiErrorTypes),
      param: z.string().nullable().describe('The field at fault'),
      code: errorCodeSchema,
    }),
  })
  .meta({ id: 'OpenAiError' })
export type OpenAiError = z.infer<typeof openAiErrorSchema>

/** The kind of array is told by its first element; an empty one has none. */
function isEmbeddingsInput(input: unknown): input is EmbeddingsInput {
  if (typeof input === 'string') return true
  if (!Array.isArray(input)) return false
  const [first] = input
  if (first === undefined) return input.length === 0
  if (typeof first === 'string') return input.every((one) => typeof one === 'string')
  if (typeof first === 'number') return input.every(isTokenId)
  return input.every((one) => Array.isArray(one) && one.every(isTokenId))
}

function isTokenId(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31
}
