/**
 * `npm test [-- unit|int|e2e]`: installs what is missing, lints, builds, checks types, runs the suites, and ends with
 * one line of counts. A lint, build or type fault counts as one failed test. `unit` alone skips lint, types and Redis.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { countsLine, countTests } from './count-tests.mjs'
import { installPackages } from './install-packages.mjs'
import { ensureRedis } from './install-redis.mjs'
import { requireSupportedNode } from './node-version.mjs'
import { run, StepError, step, stopWithSteps } from './run-quietly.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const suites = ['unit', 'int', 'e2e']

async function test(args) {
  const mayInstall = !args.includes('--no-install')
  const [suite, ...rest] = args.filter((arg) => arg !== '--no-install')
  if (suite !== undefined && !suites.includes(suite)) {
    throw new StepError(`There is no suite '${suite}': name one of ${suites.join(', ')}, or none for all.`)
  }
  const faults = []
  /** A check that fails does not hide what the next one has to say. */
  const check = async (...given) => {
    try {
      await step(...given)
    } catch (error) {
      if (!(error instanceof StepError)) throw error
      faults.push(error.message)
    }
  }
  stopWithSteps()
  if (suite !== 'unit') await ensureRedis({ mayInstall })
  await installPackages(root)
  if (suite === undefined) await check('Linting', bin('biome'), ['check', '.'], { cwd: root })
  await build(root)
  if (suite === undefined) {
    await check('Checking types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json'], { cwd: root })
  }
  const counts = await runSuites(suite, rest)
  for (const fault of faults) console.error(fault)
  counts.failed += faults.length
  return counts
}

async function runSuites(suite, rest) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  const report = join(folder, 'report.json')
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  if (suite !== undefined) args.push('--project', suite)
  try {
    const { status } = await run(bin('vitest'), [...args, ...rest], { cwd: root, show: true })
    return countTests(readReport(report), status)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

function bin(name) {
  return join(root, 'node_modules', '.bin', name)
}

/** The counts line is the last thing written, whatever happened before it. */
function end(counts) {
  process.stdout.write(`${countsLine(counts)}\n`, () => process.exit(counts.failed === 0 ? 0 : 1))
}

requireSupportedNode()
process.chdir(root)
test(process.argv.slice(2)).then(end, (error) => {
  console.error(error instanceof StepError ? `\n${error.message}\n` : error)
  end({ passed: 0, failed: 1, skipped: 0 })
})
