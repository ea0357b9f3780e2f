/** Who serves a model, and how, out of what all workers say of themselves; and who notices that they disagree. */
import { type Model, maxListedWorkers } from '@millrace/contracts'
import type { WorkerAnnouncement } from '@millrace/jobs'
import type { Emit, VersionRun } from './events.js'

export interface ModelServing {
  workers: number
  versions: Model['versions']
  /** The same with the workers' ids. */
  runs: VersionRun[]
  tokensPerS: number | null
  servedBy: Model['served_by']
}

export const nobody: ModelServing = { workers: 0, versions: [], runs: [], tokensPerS: null, servedBy: [] }

/** @param workers in the order in which they are to be listed */
export function servingOf(alias: string, workers: readonly WorkerAnnouncement[]): ModelServing {
  const servedBy = workers.flatMap(({ id, startedAtMs, models }): Model['served_by'] => {
    const serving = models[alias]?.serving
    return serving ? [{ id, started_at: new Date(startedAtMs).toISOString(), ...serving }] : []
  })
  const byVersion = new Map<string, string[]>()
  for (const { id, version } of servedBy) byVersion.set(version, [...(byVersion.get(version) ?? []), id])
  const runs = [...byVersion]
    .map(([version, ids]) => ({ version, workers: ids }))
    .sort((a, b) => b.workers.length - a.workers.length || (a.version < b.version ? -1 : 1))
  const rates = servedBy.flatMap(({ tokens_per_s }) => tokens_per_s ?? [])
  return {
    workers: servedBy.length,
    versions: runs.map(({ version, workers: ids }) => ({ version, workers: ids.length })),
    runs,
    tokensPerS: rates.length > 0 ? rates.reduce((sum, rate) => sum + rate, 0) : null,
    servedBy: servedBy.slice(0, maxListedWorkers),
  }
}

/** Tells once when versions begin to differ, again when others do, and once when they agree. */
export class VersionWatch {
  readonly #emit: Emit
  readonly #differing = new Map<string, string>()

  constructor(emit: Emit) {
    this.#emit = emit
  }

  note(model: string, runs: readonly VersionRun[]): void {
    const [first, ...others] = runs
    if (first === undefined) return
    const names = runs
      .map(({ version }) => version)
      .sort()
      .join()
    if (others.length > 0) {
      if (this.#differing.get(model) === names) return
      this.#differing.set(model, names)
      this.#emit({ type: 'versions-differ', model, versions: [...runs] })
    } else if (this.#differing.delete(model)) {
      this.#emit({ type: 'versions-agree', model, version: first.version })
    }
  }
}
