/**
 * redis-server: found, or installed with the machine's package manager, or asked for in words. Never starts one.
 */
import { run, StepError, step } from './run-quietly.mjs'

const oldest = [6, 2]

/** @returns {string | undefined} the version in what `redis-server --version` prints */
export function redisVersion(output) {
  const found = /\bv=(\d+\.\d+\.\d+)/.exec(output)
  return found === null ? undefined : found[1]
}

export function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
}

/**
 * How redis-server can be installed here, if at all.
 * @param {{ platform: string, isRoot: boolean, has: (command: string, args: string[]) => Promise<boolean> }} machine
 * @returns {Promise<{ title: string, install: string[], refresh?: string[] } | undefined>}
 */
export async function installer({ platform, isRoot, has }) {
  if (platform === 'darwin') {
    if (!(await has('brew', ['--version']))) return undefined
    return { title: 'Installing redis with brew', install: ['brew', 'install', '--quiet', 'redis'] }
  }
  if (!(await has('apt-get', ['--version']))) return undefined
  // `sudo -n` fails at once where a password would be asked for.
  if (!isRoot && !(await has('sudo', ['-n', 'true']))) return undefined
  const prefix = isRoot ? ['env'] : ['sudo', '-n', 'env']
  const apt = [...prefix, 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-y']
  return {
    title: `Installing redis-server with apt-get${isRoot ? '' : ' (sudo)'}`,
    install: [...apt, 'install', '--no-install-recommends', 'redis-server'],
    refresh: [...apt, 'update'],
  }
}

/** What a user does when we cannot. */
export function advice(platform) {
  const lines = [
    platform === 'darwin'
      ? '  brew install redis'
      : '  sudo apt-get install redis-server     (Debian, Ubuntu)',
  ]
  if (platform !== 'darwin') lines.push('  sudo dnf install redis                (Fedora, RHEL)')
  return [
    'Millrace needs redis-server 6.2 or later on the PATH. Install it, then try again:',
    ...lines,
    'Or point QUEUE_REDIS_URL and CACHE_REDIS_URL at two Redis servers that you run yourself.',
  ].join('\n')
}

/**
 * @param {{ mayInstall: boolean }} options
 * @throws StepError with what to do
 */
export async function ensureRedis({ mayInstall }) {
  const present = await version()
  if (present !== undefined && isNewEnough(present)) return
  if (present !== undefined) {
    throw new StepError(`redis-server ${present} is too old.\n${advice(process.platform)}`)
  }
  if (!mayInstall) throw new StepError(`redis-server is not installed.\n${advice(process.platform)}`)
  const way = await installer({ platform: process.platform, isRoot: isRoot(), has: succeeds })
  if (way === undefined) {
    throw new StepError(
      `redis-server is not installed, and there is no way to install it from here.\n${advice(process.platform)}`,
    )
  }
  await install(way)
  const now = await version()
  if (now === undefined || !isNewEnough(now)) {
    throw new StepError(`redis-server is ${now || 'still missing'} after that.\n${advice(process.platform)}`)
  }
}

async function install(way) {
  const [command, ...args] = way.install
  const refresh = () => step('Reading package lists', way.refresh[0], way.refresh.slice(1))
  try {
    // On a fresh machine apt knows no packages until its lists are read; old lists name files that are gone.
    const fresh = way.refresh !== undefined && !(await succeeds('apt-cache', ['show', 'redis-server']))
    if (fresh) await refresh()
    try {
      await step(way.title, command, args)
    } catch (error) {
      if (fresh || way.refresh === undefined) throw error
      await refresh()
      await step(way.title, command, args)
    }
  } catch (error) {
    throw new StepError(`${error.message}\n${advice(process.platform)}`)
  }
}

async function version() {
  const { status, output } = await run('redis-server', ['--version'])
  return status === 0 ? redisVersion(output) : undefined
}

async function succeeds(command, args) {
  return (await run(command, args)).status === 0
}

function isRoot() {
  return typeof process.getuid === 'function' && process.getuid() === 0
}
