/**
 * Run by deploy/Dockerfile in /millrace after `npm ci --omit=dev --workspace <app>`: drops what the app never loads and
 * checks what is left, so that a wrong dependency fails the build. Knows packages by name, nothing of their content.
 * Usage: node trim-install.mjs gateway|worker|courier
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const app = process.argv[2]
const runtime = [
  '@huggingface/transformers',
  'onnxruntime-node',
  'onnxruntime-common',
  'onnxruntime-web',
  'sharp',
  '@img',
]
const tools = ['typescript', '@typescript', 'turbo', '@turbo', '@biomejs', 'vitest', 'fast-check', '@types']

const remove = (path) => rmSync(path, { recursive: true, force: true })
const installed = new Set(
  readdirSync('node_modules', { recursive: true }).map((path) => path.split('node_modules/').at(-1)),
)
const fail = (message) => {
  process.stderr.write(`trim-install: ${message}\n`)
  process.exit(1)
}

// npm links the workspaces of development too; only what the app itself depends on stays.
const needed = new Set()
const need = (name) => {
  if (!name.startsWith('@millrace/') || needed.has(name)) return
  needed.add(name)
  for (const dependency of Object.keys(manifest(`node_modules/${name}`).dependencies ?? {})) need(dependency)
}
need(`@millrace/${app}`)
// The command line is in every image; of what it can start or load, only what this app brings is: it says so when it is asked.
const apps = new Set(workspaces('apps').map((folder) => manifest(folder).name))
const isHere = (name) => !apps.has(name) && existsSync(`node_modules/${name}`)
for (const name of Object.keys(manifest('apps/cli').dependencies).filter(isHere)) need(name)
needed.add('@millrace/cli')
for (const link of readdirSync('node_modules/@millrace')) {
  if (!needed.has(`@millrace/${link}`)) remove(`node_modules/@millrace/${link}`)
}
for (const folder of [...workspaces('apps'), ...workspaces('packages'), 'bench']) {
  if (existsSync(folder) && !needed.has(manifest(folder).name)) remove(folder)
}
if (!existsSync(`apps/${app}/dist/main.js`)) fail(`apps/${app}/dist/main.js is not there`)

// An optional peer of a run-time dependency brings the compiler; nothing imports it.
for (const name of tools) remove(`node_modules/${name}`)

execFileSync(process.execPath, ['apps/cli/bin/millrace.js', '--help'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})

if (app !== 'worker') {
  const found = runtime.filter((name) => installed.has(name))
  if (found.length > 0) fail(`the ${app} must not contain the model runtime: ${found.join(', ')}`)
} else {
  // The Node build of transformers has its own copy of the web runtime's code inside.
  remove('node_modules/onnxruntime-web')
  // npm 10 installs sharp's WebAssembly build beside the native one.
  remove('node_modules/@img/sharp-wasm32')
  const binaries = 'node_modules/onnxruntime-node/bin'
  for (const abi of readdirSync(binaries)) {
    for (const system of readdirSync(`${binaries}/${abi}`)) {
      for (const cpu of readdirSync(`${binaries}/${abi}/${system}`)) {
        if (system !== process.platform || cpu !== process.arch) remove(`${binaries}/${abi}/${system}/${cpu}`)
      }
    }
  }
  // Loads the native library and sharp: this image's base really can run them.
  const { resolve: find } = createRequire(resolve('packages/model/package.json'))
  await import(find('@huggingface/transformers').replace(/\.cjs$/, '.mjs'))
}

function manifest(folder) {
  return JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
}

function workspaces(folder) {
  return readdirSync(folder).map((name) => `${folder}/${name}`)
}
