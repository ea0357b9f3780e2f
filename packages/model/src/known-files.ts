/**
 * A model's files as they were when they were digested. Weights are loaded more than once in a worker's life (a model
 * process that died is replaced), and always under the one version: what changed on disk since may not be loaded.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { digestFiles } from './model-version.js'

export class KnownFiles {
  readonly dir: string
  /** SHA-256 of each file, by its path inside the folder. */
  readonly digests: ReadonlyMap<string, string>
  #stamps: ReadonlyMap<string, string>

  private constructor(
    dir: string,
    digests: ReadonlyMap<string, string>,
    stamps: ReadonlyMap<string, string>,
  ) {
    this.dir = dir
    this.digests = digests
    this.#stamps = stamps
  }

  /** Stamps first: a file that changes while it is digested is noticed, too. */
  static async read(dir: string, files: readonly string[]): Promise<KnownFiles> {
    const stamps = await stampsOf(dir, files)
    return new KnownFiles(dir, await digestFiles(dir, files), stamps)
  }

  /**
   * Digests a file again only where its stamp differs; one that was merely touched or put back is the same.
   * @throws Error naming the files that are others now
   */
  async assertUnchanged(): Promise<void> {
    const stamps = await stampsOf(this.dir, [...this.digests.keys()])
    const suspects = [...stamps].flatMap(([file, stamp]) => (this.#stamps.get(file) === stamp ? [] : [file]))
    if (suspects.length === 0) return
    const gone = suspects.filter((file) => stamps.get(file) === absent)
    const there = suspects.filter((file) => stamps.get(file) !== absent)
    const now = await digestFiles(this.dir, there)
    const others = [...gone, ...there.filter((file) => now.get(file) !== this.digests.get(file))]
    if (others.length > 0) {
      throw new Error(
        `Files of the model in ${this.dir} changed since this worker read them, so they are not loaded: ` +
          `${others.sort().join(', ')}. Start the worker again to serve what is there now`,
      )
    }
    this.#stamps = stamps
  }
}

const absent = 'absent'

/** What tells in a moment that a file may be another: inode, size, time of the last change, in nanoseconds. */
async function stampsOf(dir: string, files: readonly string[]): Promise<Map<string, string>> {
  const stamps = new Map<string, string>()
  for (const file of files) {
    const found = await stat(join(dir, file), { bigint: true }).catch(() => undefined)
    stamps.set(file, found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : absent)
  }
  return stamps
}
