/**
 * The verdict that a model cannot be prepared, remembered beside where its prepared folder would be: `<key>.unfit.json`. The
 * key names the runtime and the CPU, so another of either tries again. Passing faults, such as a full disk, are no verdict.
 */
import { randomUUID } from 'node:crypto'
import { readFile, rename, utimes, writeFile } from 'node:fs/promises'

export const unfitSuffix = '.unfit.json'

export interface UnfitNote {
  readonly why: string
  /** Version of ONNX Runtime that it was found with. */
  readonly runtime: string
  readonly foundAt: string
}

/** @param dir of the prepared folder that there is none of */
export async function readUnfit(dir: string): Promise<UnfitNote | undefined> {
  try {
    const note: UnfitNote = JSON.parse(await readFile(dir + unfitSuffix, 'utf8'))
    const now = new Date()
    await utimes(dir + unfitSuffix, now, now).catch(() => {})
    return note
  } catch {
    return undefined
  }
}

export async function writeUnfit(dir: string, note: UnfitNote): Promise<void> {
  const whole = `${dir}.${randomUUID()}.tmp`
  await writeFile(whole, `${JSON.stringify(note, null, 2)}\n`)
  await rename(whole, dir + unfitSuffix)
}

/** The verdict, for a person. */
export function unfitWords(dir: string, { why, runtime, foundAt }: UnfitNote): string {
  return (
    `${why} Found on ${foundAt.slice(0, 10)} with ONNX Runtime ${runtime}; not tried again with this version. ` +
    `To try all the same, remove ${dir}${unfitSuffix}`
  )
}
