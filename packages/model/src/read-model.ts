/** A model's folder, found and read, not loaded: which files decide its answers, and their digests. Runs nothing of it. */
import type { Task } from '@millrace/contracts'
import { downloadedModel, downloadModel } from './download-model.js'
import type { ModelEvent } from './events.js'
import { KnownFiles } from './known-files.js'
import { findModelFiles } from './model-files.js'
import { checkPinned, filesDigest } from './pinned-digest.js'
import { type ModelTask, openTask } from './tasks/index.js'

export interface ModelPlace {
  readonly alias: string
  readonly task: Task
  readonly dtype: string
  /** A local folder; or else `hub`. */
  readonly dir?: string | null
  /** Downloaded into `dataDir` unless it is there. */
  readonly hub?: { readonly id: string; readonly revision: string } | null
  readonly dataDir: string
  /** Where `hub` is; the library's default otherwise. */
  readonly hubUrl?: string | undefined
}

export interface ReadModel {
  readonly dir: string
  /** Hub id, or `local`. */
  readonly source: string
  /** Pinned hub revision, or empty. */
  readonly revision: string
  readonly task: ModelTask
  readonly files: KnownFiles
}

/** @throws Error that says what is missing or broken */
export async function readModel(
  place: ModelPlace,
  { onnx = true, on }: { onnx?: boolean; on?: (event: ModelEvent) => void } = {},
): Promise<ReadModel> {
  const { dir, source, revision } = await locate(place, on)
  const names = await findModelFiles(dir, place.dtype, { onnx, task: place.task })
  const task = await openTask(dir, place.task)
  const files = await KnownFiles.read(dir, [...new Set([...names, ...task.files])])
  return { dir, source, revision, task, files }
}

/**
 * The digest that pins a model, of the files that are here; nothing is downloaded for it.
 * @param pinned what it should be
 * @returns undefined where a hub model was not downloaded yet
 * @throws ModelDigestError where it is not what is pinned
 * @throws Error that says what is missing or broken
 */
export async function digestModel(place: ModelPlace, pinned?: string | null): Promise<string | undefined> {
  const dir = place.dir ?? (place.hub ? await downloadedModel({ ...place.hub, ...place }) : undefined)
  if (dir === undefined) return undefined
  const { digests: files } = (await readModel({ ...place, dir })).files
  if (pinned != null) await checkPinned({ ...place, dir, pinned, files })
  return filesDigest(files)
}

async function locate(
  { alias, task, dir, hub, dataDir, dtype, hubUrl }: ModelPlace,
  on?: (event: ModelEvent) => void,
): Promise<Pick<ReadModel, 'dir' | 'source' | 'revision'>> {
  if (dir != null) return { dir, source: 'local', revision: '' }
  if (hub == null) throw new Error(`The model '${alias}' names neither a folder nor a hub id`)
  const options = {
    ...hub,
    task,
    dtype,
    dataDir,
    ...(on ? { on } : {}),
    ...(hubUrl ? { remoteHost: hubUrl } : {}),
  }
  return { dir: await downloadModel(options), source: hub.id, revision: hub.revision }
}
