/**
 * `npm run soak [-- --minutes 30]`: a real fleet under all that clients do, whose memory must not grow (e2e/soak). The
 * same test as in `npm test`, for longer. Linux only.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { installPackages } from './install-packages.mjs'
import { ensureRedis } from './install-redis.mjs'
import { requireSupportedNode } from './node-version.mjs'
import { run, StepError, stopWithSteps } from './run-quietly.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' } } })

requireSupportedNode()
process.chdir(root)
try {
  stopWithSteps()
  await ensureRedis({ mayInstall: true })
  await installPackages(root)
  await build(root)
  process.env.SOAK_MINUTES = values.minutes
  const vitest = join(root, 'node_modules', '.bin', 'vitest')
  const { status } = await run(vitest, ['run', '--project', 'e2e', 'e2e/soak'], { cwd: root, show: true })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof StepError ? `\n${error.message}\n` : error)
  process.exitCode = 1
}
