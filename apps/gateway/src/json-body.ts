/** A request's JSON body: its media type, its text, its schema. */
import { MillraceError } from '@millrace/contracts'
import type { z } from 'zod'
import type { RequestContext } from './context.js'
import { invalidRequest } from './invalid-request.js'
import { refuseWide } from './refuse-wide.js'

/**
 * @param widthOf the field that may be as wide as it likes
 * @throws MillraceError unsupported_media_type, malformed_json, invalid_request
 */
export async function readBody<T>(
  c: RequestContext,
  schema: z.ZodType<T>,
  widthOf: (json: unknown) => string,
): Promise<T> {
  const json = parseJson(await bodyText(c))
  refuseWide(json, widthOf(json))
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  throw invalidRequest(parsed.error)
}

/** @throws MillraceError unsupported_media_type */
export async function bodyText(c: RequestContext, taken = 'application/json'): Promise<string> {
  const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new MillraceError('unsupported_media_type', `Send the body as ${taken}`)
  }
  return c.req.text()
}

/** @throws MillraceError malformed_json */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    // Its message ends with a piece of the text.
    throw new MillraceError('malformed_json', error.message.replace(/, ".*$/s, ''), { cause: error })
  }
}
