/** `millrace models list`: what millrace.json names. What a fleet serves of it is `millrace status`. */
import type { Config, ModelConfig } from '@millrace/config'
import { type CommandIo, write } from '../command-io.js'
import { aligned } from '../fleet-table.js'

export async function listModels(
  { models, MILLRACE_CONFIG }: Config,
  { json }: { json?: boolean },
  io: CommandIo,
): Promise<void> {
  const all = [...models.values()]
  if (json) {
    const shown = all.map(({ alias, ...model }) => ({ id: alias, ...model }))
    await write(io.stdout, `${JSON.stringify(shown)}\n`)
    return
  }
  const rows = all.map((model) => [
    model.alias,
    model.task,
    model.dtype,
    shortDigest(model.digest) ?? 'not pinned',
    sourceOf(model),
  ])
  const lines = aligned([['MODEL', 'TASK', 'DTYPE', 'DIGEST', 'SOURCE'], ...rows])
  await write(io.stdout, `${lines.join('\n')}\n\n${all.length} in ${MILLRACE_CONFIG}\n`)
}

export function sourceOf({ hub, dir }: Pick<ModelConfig, 'hub' | 'dir'>): string {
  return hub ? `hub:${hub.id}@${hub.revision}` : `path:${dir}`
}

/** As much as tells two apart. */
export function shortDigest(digest: string | null | undefined): string | undefined {
  return digest?.slice(0, 'sha256:'.length + 16)
}
