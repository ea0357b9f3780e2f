/** millrace.schema.json: what editors know of millrace.json, made from the zod schema that reads it. */
import { z } from 'zod'
import { modelsFileSchema } from './models-file.js'

/** The whole file. A test compares it with the committed one. */
export function modelsFileJsonSchema(): string {
  const { $schema, ...schema } = z.toJSONSchema(modelsFileSchema, { io: 'input', target: 'draft-7' })
  const head = { $schema, title: 'millrace.json', description: 'The models of a Millrace fleet' }
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`
}
