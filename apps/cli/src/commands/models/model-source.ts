/** Where a model comes from, as `millrace models add` is told: `hub:owner/name@revision` or `path:folder`. Pure. */
import { basename, dirname, isAbsolute, relative, resolve, sep } from 'node:path'
import { InvalidArgumentError } from 'commander'

export type ModelSource =
  | { readonly kind: 'hub'; readonly id: string; readonly revision: string }
  | { readonly kind: 'path'; readonly dir: string }

/** @throws InvalidArgumentError */
export function modelSource(text: string): ModelSource {
  const [, kind, rest = ''] = /^(hub|path):(.+)$/s.exec(text) ?? []
  if (kind === 'path') return { kind, dir: rest }
  if (kind !== 'hub') throw new InvalidArgumentError('It must be hub:owner/name@revision or path:folder.')
  const [, id, revision] = /^([\w.-]+\/[\w.-]+)@(.+)$/.exec(rest) ?? []
  if (id === undefined || revision === undefined) {
    throw new InvalidArgumentError(
      'It must be hub:owner/name@revision: a commit of 40 hexadecimal digits, or a branch or tag.',
    )
  }
  return { kind, id, revision }
}

/** The name by which it is known at its source. */
export function nameOf(source: ModelSource): string {
  return source.kind === 'hub' ? (source.id.split('/')[1] ?? source.id) : basename(resolve(source.dir))
}

/** A folder as millrace.json names it: from there, where it lies beside or below it; whole otherwise. */
export function pathFrom(modelsFile: string, dir: string): string {
  const from = relative(dirname(resolve(modelsFile)), resolve(dir))
  const inside = from !== '' && !isAbsolute(from) && from !== '..' && !from.startsWith(`..${sep}`)
  return inside ? from.split(sep).join('/') : resolve(dir)
}
