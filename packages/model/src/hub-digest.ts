/**
 * Whether a downloaded file is the one that the hub has. The hub names a file's content in its headers, as huggingface_hub
 * reads them: `X-Linked-Etag` is the SHA-256 of a large file, `ETag` otherwise the git blob id.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'

/** @returns 64 digits (SHA-256) or 40 (git blob id); undefined where a hub says neither */
export function digestOfHub(headers: Headers): string | undefined {
  const etag = headers.get('x-linked-etag') ?? headers.get('etag') ?? ''
  return /^(?:W\/)?"?([0-9a-f]{64}|[0-9a-f]{40})"?$/.exec(etag)?.[1]
}

/** @param digest as the hub names it @returns whether the file on disk has it */
export async function hasDigest(file: string, digest: string): Promise<boolean> {
  const isGit = digest.length === 40
  const hash = createHash(isGit ? 'sha1' : 'sha256')
  // A git blob id is over a header and the content: `git hash-object`.
  if (isGit) hash.update(`blob ${(await stat(file)).size}\0`)
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex') === digest
}
