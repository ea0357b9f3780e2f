/** What a person is told where workers run one model at different versions. Pure. */
import type { VersionRun } from './events.js'

const shownDigits = 12
const shownWorkers = 5

export function shortVersion(version: string): string {
  return version.slice(0, shownDigits)
}

export function versionsWords(model: string, versions: readonly VersionRun[]): string {
  const each = versions.map(({ version, workers }) => {
    const more = workers.length > shownWorkers ? ` and ${workers.length - shownWorkers} more` : ''
    return `${shortVersion(version)} on ${workers.slice(0, shownWorkers).join(', ')}${more}`
  })
  return (
    `workers run ${model} at ${versions.length} versions: ${each.join('; ')}. What a text gets depends on who computes it ` +
    'until all run one. In a rolling update this passes; otherwise their files, dtype or Millrace differ'
  )
}
