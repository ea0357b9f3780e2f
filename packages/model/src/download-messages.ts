/** What the download child is told and what it tells. */
import type { Task } from '@millrace/contracts'

export interface ToDownload {
  readonly type: 'download'
  readonly id: string
  readonly revision: string
  readonly dtype: string
  /** Decides which files have to be there. */
  readonly task: Task
  /** Files land in `<cacheDir>/<id>/<revision>/`. */
  readonly cacheDir: string
  readonly remoteHost?: string
}

export type FromDownload =
  | { readonly type: 'progress' }
  | { readonly type: 'fetched'; readonly file: string; readonly bytes: number }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'done'; readonly files: string[] }
