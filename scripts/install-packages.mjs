/**
 * npm packages: installed when they are missing or when package-lock.json has moved on, and left alone otherwise.
 * The stamp is npm's own node_modules/.package-lock.json, which it writes last and keeps true.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { step } from './run-quietly.mjs'

/**
 * @param {string} root the repository's folder
 * @returns {string | undefined} why an installation is due; undefined when what is there fits the lock file
 */
export function installReason(root) {
  const stamp = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(stamp)) return 'no packages are installed'
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(stamp, 'utf8')).packages
  for (const path of Object.keys(wanted)) {
    if (!path.includes('node_modules/')) continue
    const here = installed[path]
    if (here === undefined) {
      if (wanted[path].optional || wanted[path].devOptional || wanted[path].peer) continue
      return `${path} is not installed`
    }
    if (here.version !== wanted[path].version || here.link !== wanted[path].link) {
      return `${path} has another version`
    }
  }
  return undefined
}

/** Runs `npm ci` when it is due. Development packages are part of it: they build the project. */
export async function installPackages(root) {
  const reason = installReason(root)
  if (reason === undefined) return
  const env = { ...process.env }
  // The CUDA libraries of ONNX Runtime are some hundred megabytes and of no use without an NVIDIA card.
  if (!env.ONNXRUNTIME_NODE_INSTALL && !env.ONNXRUNTIME_NODE_INSTALL_CUDA) {
    env.ONNXRUNTIME_NODE_INSTALL_CUDA = 'skip'
  }
  const npm = npmCommand(env)
  const args = [...npm.args, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']
  await step(`Installing packages (${reason})`, npm.command, args, { cwd: root, env })
}

/** The npm that runs us, or the one on the PATH. */
function npmCommand(env) {
  const script = env.npm_execpath
  if (script && /npm-cli\.c?js$/.test(script)) return { command: process.execPath, args: [script] }
  return { command: 'npm', args: [] }
}
