/** The content key: equal exactly where two items must have the same result. */
import { hash } from 'node:crypto'
import type { Params, Task } from '@millrace/contracts'

/** Bumped when what is hashed, or how, changes: old results are then simply never found. */
const scheme = 1

export interface ContentKeyParts {
  scope: string
  modelVersion: string
  task: Task
  /** Only options that decide the result; not how it is written out. */
  options: Params
  /** Exactly the string that is tokenized. Must be well-formed: lone surrogates have no UTF-8 form of their own. */
  input: string
}

/** SHA-256 as base64url, 43 characters. Each part carries its byte length, so no two lists of parts read the same. */
export function contentKey(parts: ContentKeyParts): string {
  return keyMaker(parts)(parts.input)
}

/** The same, for many inputs that share everything else: the shared part is written once. */
export function keyMaker(parts: Omit<ContentKeyParts, 'input'>): (input: string) => string {
  const options = JSON.stringify(Object.entries(parts.options).sort(([a], [b]) => (a < b ? -1 : 1)))
  const shared = [`millrace:${scheme}`, parts.scope, parts.modelVersion, parts.task, options]
    .map(measured)
    .join('')
  return (input) => hash('sha256', shared + input, 'base64url')
}

function measured(part: string): string {
  return `${Buffer.byteLength(part)}:${part};`
}
