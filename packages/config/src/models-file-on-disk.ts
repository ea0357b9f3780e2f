/**
 * millrace.json as a file: read as it is written, without defaults, and changed as a whole. What a change does not touch
 * stays; the new file is there complete or not at all.
 */
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { ConfigError, issuesOf } from './config-error.js'
import { type ModelEntryText, type ModelsFileText, modelsFileSchema } from './models-file.js'

/** @throws ConfigError where it cannot be read, or is faulty */
export function readModelsFile(file: string): ModelsFileText {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ConfigError([`MILLRACE_CONFIG: cannot read ${file}: ${messageOf(error)}`])
  }
  return checked(json, file)
}

/**
 * Read, changed and written within one turn of this process; of two processes at the same time the later one wins.
 * @param change gives the models as they are to be; begins with none where there is no file yet
 * @throws ConfigError where the file is faulty, would be, or cannot be written; it is as it was then
 */
export function changeModelsFile(
  file: string,
  change: (models: Readonly<Record<string, ModelEntryText>>) => Record<string, ModelEntryText>,
): void {
  const before = existsSync(file) ? readModelsFile(file) : { models: {} }
  const after = checked({ ...before, models: change(before.models) }, file)
  writeWhole(file, `${JSON.stringify(after, null, 2)}\n`)
}

/** As it was written: the schema's defaults are not put in. */
function checked(json: unknown, file: string): ModelsFileText {
  const parsed = modelsFileSchema.safeParse(json)
  if (!parsed.success) throw new ConfigError(issuesOf(parsed.error).map((issue) => `${file}: ${issue}`))
  return json as ModelsFileText
}

function writeWhole(file: string, text: string): void {
  // A link stays a link.
  const target = existsSync(file) ? realpathSync(file) : file
  const written = `${target}.${randomUUID()}.tmp`
  try {
    writeFileSync(written, text)
    if (existsSync(target)) chmodSync(written, statSync(target).mode & 0o777)
    const handle = openSync(written, 'r+')
    fsyncSync(handle)
    closeSync(handle)
    renameSync(written, target)
  } catch (error) {
    rmSync(written, { force: true })
    throw new ConfigError([`MILLRACE_CONFIG: cannot write ${file}: ${messageOf(error)}`])
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
