/**
 * `npm run fuzz [-- --seconds 300]`: a small fleet under schemathesis, which makes requests from /openapi.json, good and
 * bad, and holds each answer against what the document promises. Needs python3 with venv; optional, not part of
 * `npm test`.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { installPackages } from './install-packages.mjs'
import { ensureRedis } from './install-redis.mjs'
import { requireSupportedNode } from './node-version.mjs'
import { run, StepError, step, stopWithSteps } from './run-quietly.mjs'

const schemathesis = 'schemathesis==4.32.5'
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'allow_header_conformance',
]

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '300' }, 'no-install': { type: 'boolean', default: false } },
})

async function fuzz() {
  stopWithSteps()
  await ensureRedis({ mayInstall: !values['no-install'] })
  await installPackages(root)
  await build(root)
  const st = await installSchemathesis(join(root, '.millrace', 'fuzz'))
  const { startFleet } = await import(join(root, 'packages/testkit/dist/index.js'))
  // Short waits: a fuzzer that asks for a minute would wait for it.
  const fleet = await startFleet({ root, couriers: 1, env: { LOG_LEVEL: 'warn', WAIT_LIMIT_S: '1' } })
  try {
    const args = ['run', `${fleet.url}/openapi.json`, '--url', fleet.url, '--checks', checks.join(',')]
    const limits = ['--max-time', values.seconds, '--request-timeout', '20', '--suppress-health-check', 'all']
    const { status } = await run(st, [...args, ...limits], { cwd: dirname(dirname(st)), show: true })
    for (const { output } of [...fleet.gateways, ...fleet.workers, ...fleet.couriers]) {
      process.stdout.write(output())
    }
    return status ?? 1
  } finally {
    await fleet.stop()
  }
}

async function installSchemathesis(folder) {
  const command = join(folder, 'bin', 'st')
  if (existsSync(command)) return command
  await step('Making a Python environment', 'python3', ['-m', 'venv', folder], { cwd: root })
  await step('Installing schemathesis', join(folder, 'bin', 'pip'), ['install', '--quiet', schemathesis], {
    cwd: root,
  })
  return command
}

requireSupportedNode()
fuzz().then(
  (status) => process.exit(status),
  (error) => {
    console.error(error instanceof StepError ? error.message : error)
    process.exit(1)
  },
)
