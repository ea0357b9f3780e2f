/**
 * `npm run bench [-- --workers N --rounds N --seconds N --out FILE]`: installs what is missing, builds, measures.
 * `npm run bench:batching [-- --workers N --rounds N --texts N --out FILE]`: batches against arrival order.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { installPackages } from './install-packages.mjs'
import { ensureRedis } from './install-redis.mjs'
import { requireSupportedNode } from './node-version.mjs'
import { StepError, stopWithSteps } from './run-quietly.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

requireSupportedNode()
process.chdir(root)
try {
  const release = stopWithSteps()
  await ensureRedis({ mayInstall: true })
  await installPackages(root)
  await build(root)
  release()
  const args = process.argv.slice(2)
  const main = args[0] === '--batching' ? args.shift() && 'batching-main.js' : 'main.js'
  const { status } = spawnSync(process.execPath, [join(root, 'bench', 'dist', main), ...args], {
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof StepError ? `\n${error.message}\n` : error)
  process.exitCode = 1
}
