/** `npm run docs:config`: writes docs/configuration.md and millrace.schema.json. */
import { writeFileSync } from 'node:fs'
import { configurationPage } from './configuration-page.js'
import { modelsFileJsonSchema } from './models-schema.js'

const root = new URL('../../../', import.meta.url)
writeFileSync(new URL('docs/configuration.md', root), configurationPage())
writeFileSync(new URL('millrace.schema.json', root), modelsFileJsonSchema())
