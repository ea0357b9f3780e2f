/**
 * A pin: millrace.json says which files an alias is made of, by one digest over all of them. What a pin was made of is kept
 * beside the prepared weights, so that a mismatch can be told by the names of files.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'

/** The files of a model are not those that are pinned. Trying again changes nothing. */
export class ModelDigestError extends Error {
  override readonly name = 'ModelDigestError'
  readonly pinned: string
  readonly found: string

  constructor(message: string, digests: { pinned: string; found: string }) {
    super(message)
    this.pinned = digests.pinned
    this.found = digests.found
  }
}

/**
 * @param files SHA-256 of each file, by its path inside the folder: those of `findModelFiles`
 * @returns `sha256:` and 64 hexadecimal digits: SHA-256 over the JSON of `[path, digest]` pairs, sorted by path
 */
export function filesDigest(files: ReadonlyMap<string, string>): string {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  return `sha256:${createHash('sha256').update(JSON.stringify(sorted)).digest('hex')}`
}

export interface PinnedModel {
  readonly alias: string
  readonly dir: string
  readonly dtype: string
  readonly pinned: string
  readonly files: ReadonlyMap<string, string>
  readonly dataDir: string
}

/** @throws ModelDigestError naming both digests, and the files where they are known */
export async function checkPinned(model: PinnedModel): Promise<void> {
  const { alias, dir, dtype, pinned, files, dataDir } = model
  const found = filesDigest(files)
  if (found === pinned) return remember(dataDir, pinned, files)
  const before = await recall(dataDir, pinned)
  const which = before ? ` ${differences(before, files)}.` : ''
  throw new ModelDigestError(
    `The model '${alias}' is not what millrace.json pins, so it is not loaded: pinned is ${pinned}, the files in ${dir} ` +
      `(dtype ${dtype}) are ${found}.${which} Put the pinned files back, or pin these with \`millrace models add --replace\``,
    { pinned, found },
  )
}

function differences(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string {
  const changed = [...now].flatMap(([file, digest]) =>
    before.has(file) && before.get(file) !== digest ? [file] : [],
  )
  const added = [...now.keys()].filter((file) => !before.has(file))
  const missing = [...before.keys()].filter((file) => !now.has(file))
  const parts = Object.entries({ Changed: changed, Added: added, Missing: missing })
  return parts.flatMap(([what, names]) => (names.length > 0 ? `${what}: ${names.join(', ')}` : [])).join('. ')
}

const notesSchema = z.record(z.string(), z.string())

function noteOf(dataDir: string, digest: string): string {
  return join(resolve(dataDir, 'digests'), `${digest.slice('sha256:'.length)}.json`)
}

/** A help for a person only: where it cannot be written nothing is lost. */
async function remember(dataDir: string, digest: string, files: ReadonlyMap<string, string>): Promise<void> {
  if (await recall(dataDir, digest)) return
  const note = noteOf(dataDir, digest)
  const written = `${note}.${randomUUID()}.tmp`
  try {
    await mkdir(resolve(dataDir, 'digests'), { recursive: true })
    await writeFile(written, `${JSON.stringify(Object.fromEntries(files), null, 2)}\n`)
    await rename(written, note)
  } catch {
    await rm(written, { force: true }).catch(() => {})
  }
}

/** @returns undefined where there is no note, or one that is not of this digest */
async function recall(dataDir: string, digest: string): Promise<Map<string, string> | undefined> {
  try {
    const files = new Map(
      Object.entries(notesSchema.parse(JSON.parse(await readFile(noteOf(dataDir, digest), 'utf8')))),
    )
    return filesDigest(files) === digest ? files : undefined
  } catch {
    return undefined
  }
}
