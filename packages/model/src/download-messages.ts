/** What the download child is told and what it tells. */
import type { Task } from '@millrace/contracts'

export type ToDownload = DownloadOrder | ResolveOrder

export interface DownloadOrder {
  readonly type: 'download'
  readonly id: string
  readonly revision: string
  readonly dtype: string
  /** Decides which graphs and settings are fetched. */
  readonly task?: Task
  /** Files land in `<cacheDir>/<id>/<revision>/`. */
  readonly cacheDir: string
  readonly remoteHost?: string
}

/** Which commit is this branch or tag now? */
export interface ResolveOrder {
  readonly type: 'resolve'
  readonly id: string
  readonly revision: string
  readonly remoteHost?: string
}

export type FromDownload =
  | { readonly type: 'progress' }
  | { readonly type: 'fetched'; readonly file: string; readonly bytes: number }
  /** `removed`: a file that was there before is not any more. */
  | { readonly type: 'failed'; readonly message: string; readonly removed: boolean }
  | { readonly type: 'done'; readonly files: string[] }
  /** null where the hub does not say. */
  | { readonly type: 'resolved'; readonly commit: string | null }
