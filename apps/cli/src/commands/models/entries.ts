/** The entries of millrace.json, as they are written. */
import { existsSync } from 'node:fs'
import { type ModelEntryText, readModelsFile } from '@millrace/config'

/** None where there is no file yet. @throws ConfigError where it is faulty */
export function entriesOf(file: string): Readonly<Record<string, ModelEntryText>> {
  return existsSync(file) ? readModelsFile(file).models : {}
}
