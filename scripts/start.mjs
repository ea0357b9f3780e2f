/**
 * `npm start`: from a bare clone to a running fleet. Installs what is missing, builds, then becomes
 * `millrace up ...`, in this same process, so that signals and the exit code need no passing on.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from './build.mjs'
import { installPackages } from './install-packages.mjs'
import { ensureRedis } from './install-redis.mjs'
import { requireSupportedNode } from './node-version.mjs'
import { StepError, stopWithSteps } from './run-quietly.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

async function start(args, environment) {
  const mayInstall = !args.includes('--no-install')
  const rest = args.filter((arg) => arg !== '--no-install')
  const release = stopWithSteps()
  if (needsRedis(rest, environment)) await ensureRedis({ mayInstall })
  await installPackages(root)
  await build(root, '@millrace/cli')
  release()
  const main = join(root, 'apps', 'cli', 'dist', 'main.js')
  process.argv = [process.execPath, main, 'up', ...rest]
  await import(pathToFileURL(main).href)
}

/** Not where the user runs both Redis servers, nor for a look at the help. */
function needsRedis(args, environment) {
  if (args.includes('--help') || args.includes('-h')) return false
  return !(environment.QUEUE_REDIS_URL && environment.CACHE_REDIS_URL)
}

requireSupportedNode()
process.chdir(root)
start(process.argv.slice(2), process.env).catch((error) => {
  console.error(error instanceof StepError ? `\n${error.message}\n` : error)
  process.exit(1)
})
