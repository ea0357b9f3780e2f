/**
 * `npm run bench [-- --workers N --rounds N --seconds N --warm-up SECONDS --out FILE]`: installs what is missing, builds, measures.
 * `npm run bench:memory [-- --workers 1,2,4,8 --model FOLDER:DTYPE --seconds N --out FILE]`: the same for memory.
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
  const mains = { memory: 'memory.js', batching: 'batching-main.js' }
  const [what, ...rest] = process.argv.slice(2)
  const main = mains[what]
  const args = main === undefined ? process.argv.slice(2) : rest
  const { status } = spawnSync(process.execPath, [join(root, 'bench', 'dist', main ?? 'main.js'), ...args], {
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof StepError ? `\n${error.message}\n` : error)
  process.exitCode = 1
}
