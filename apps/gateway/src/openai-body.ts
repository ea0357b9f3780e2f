/** The body of OpenAI's embeddings route, parsed once by its schema. */
import {
  type CreateEmbeddings,
  createEmbeddingsSchema,
  type FieldError,
  MillraceError,
} from '@millrace/contracts'
import type { RequestContext } from './context.js'
import { bodyText, parseJson } from './json-body.js'

/** @throws MillraceError unsupported_media_type, malformed_json, invalid_request */
export async function readEmbeddingsBody(c: RequestContext): Promise<CreateEmbeddings> {
  const json = parseJson(await bodyText(c))
  const parsed = createEmbeddingsSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map(
    (issue): FieldError => ({
      path: issue.path.join('.') || '(body)',
      code: 'invalid_request',
      detail: issue.message,
    }),
  )
  throw new MillraceError('invalid_request', 'The request does not fit its schema', { errors })
}
