/**
 * What a resumed run must know of the one before it: a small file beside the output, there from the first line to the last.
 * How far the run came is not in it; the output itself says that.
 */
import { createHash } from 'node:crypto'
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { z } from 'zod'

const journalSchema = z.strictObject({
  format: z.literal('millrace-run/1'),
  runId: z.string(),
  /** By size and a digest of both ends: a copied or touched file is the same one, and a large one is not read twice. */
  input: z.string(),
  model: z.string(),
  batch: z.number(),
  truncate: z.boolean(),
  encoding: z.string(),
  errors: z.string(),
})
export type Journal = z.infer<typeof journalSchema>
/** What must be the same for lines of two runs to stand in one file. */
export type RunIdentity = Omit<Journal, 'format' | 'runId'>

const endBytes = 1024 * 1024

export function journalPath(output: string): string {
  return `${output}.run.json`
}

/** @returns undefined where there is none. @throws Error for one that cannot be read */
export async function readJournal(output: string): Promise<Journal | undefined> {
  const text = await readFile(journalPath(output), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : journalSchema.parse(JSON.parse(text))
}

/** Whole or not at all, also through a power cut. */
export async function writeJournal(output: string, journal: Journal): Promise<void> {
  const path = journalPath(output)
  await writeFile(`${path}.new`, `${JSON.stringify(journal)}\n`, { flush: true })
  await rename(`${path}.new`, path)
}

export function removeJournal(output: string): Promise<void> {
  return rm(journalPath(output), { force: true })
}

/** The names of what differs. */
export function differences(journal: Journal, identity: RunIdentity): string[] {
  const names = Object.keys(identity) as (keyof RunIdentity)[]
  return names.filter((name) => journal[name] !== identity[name])
}

export async function fingerprint(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const hash = createHash('sha256')
    for (const start of new Set([0, Math.max(0, size - endBytes)])) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(endBytes), 0, endBytes, start)
      hash.update(buffer.subarray(0, bytesRead))
    }
    return `${size}-${hash.digest('base64url')}`
  } finally {
    await file.close()
  }
}
