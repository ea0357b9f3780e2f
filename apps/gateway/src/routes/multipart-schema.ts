/** How a submit with files is described: the fields of the JSON body, each as a part, and the files instead of `inputs`. */
import { z } from 'zod'

const file = z.string().meta({ format: 'binary' })
const json = z.string().meta({ contentMediaType: 'application/json' })
const files = (what: string) =>
  z
    .union([file, z.array(file)])
    .optional()
    .describe(`${what}; repeated for many, whose output is then an array in the same order`)

export const multipartSchema = z
  .object({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    image: files('A PNG, JPEG, WebP or GIF file'),
    audio: files('A WAV, FLAC, MP3 or Ogg file'),
    options: json.optional().describe('As in the JSON body, as JSON'),
    metadata: json.optional().describe('As in the JSON body, as JSON'),
    webhook: json.optional().describe('As in the JSON body, as JSON'),
    priority: z.string().optional(),
    timeout_ms: z.string().optional(),
    start_timeout_ms: z.string().optional(),
  })
  .meta({ id: 'SubmitFiles' })
