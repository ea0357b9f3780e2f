/** The body of OpenAI's embeddings route, parsed once by its schema. */
import {
  type CreateEmbeddings,
  createEmbeddingsSchema,
  type FieldError,
  MillraceError,
} from '@millrace/contracts'
import type { RequestContext } from './context.js'

/** @throws MillraceError unsupported_media_type, malformed_json, invalid_request */
export async function readEmbeddingsBody(c: RequestContext): Promise<CreateEmbeddings> {
  const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new MillraceError('unsupported_media_type', 'Send the body as application/json')
  }
  let json: unknown
  try {
    json = JSON.parse(await c.req.text())
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new MillraceError('malformed_json', error.message.replace(/, ".*$/s, ''), { cause: error })
  }
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
