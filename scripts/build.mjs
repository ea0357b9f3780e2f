/** Builds the workspaces with turbo, which skips what has not changed. */
import { join } from 'node:path'
import { step } from './run-quietly.mjs'

/** @param {string | undefined} only one workspace (with what it depends on); everything when left out */
export async function build(root, only) {
  const args = [
    join(root, 'node_modules', 'turbo', 'bin', 'turbo'),
    'run',
    'build',
    '--output-logs=errors-only',
  ]
  if (only !== undefined) args.push(`--filter=${only}`)
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1' }
  await step('Building', process.execPath, args, { cwd: root, env })
}
