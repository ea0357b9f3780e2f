/**
 * `npm run bench:memory`: what each worker takes, both processes, as workers are added: with mapped weights and
 * without. Real fleets, measured right after load. Linux only: nothing else tells what is shared.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startFleet } from '@millrace/testkit'
import { closedLoop } from './closed-loop.js'
import { machine, median, versions } from './machine.js'
import { childrenOf, type Memory, memoryOf } from './processes.js'
import { scenarios } from './scenarios.js'
import { textMaker } from './texts.js'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const starter = 'models/all-MiniLM-L6-v2:q8'
const { values: flags } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2,4,8' },
    /** A folder and a dtype; more than one is measured in turn. */
    model: { type: 'string', multiple: true, default: [starter] },
    seconds: { type: 'string', default: '5' },
    out: { type: 'string', default: join(root, 'bench/results/local-memory.json') },
  },
})
const counts = flags.workers.split(',').map(Number)
const seconds = Number(flags.seconds)

interface Row {
  model: string
  mapped: boolean
  workers: number
  /** Medians over the workers. */
  main: Memory
  modelProcess: Memory
  /** What one more worker took: the growth of all workers' PSS since the row before; none for the first. */
  addedPssMb: number | null
}

async function main(): Promise<void> {
  if (memoryOf(process.pid) === null) throw new Error('/proc/<pid>/smaps_rollup cannot be read here')
  const rows: Row[] = []
  for (const model of flags.model) {
    for (const mapped of [true, false]) rows.push(...(await measure(model, mapped)))
  }
  console.table(rows.map(shown))
  const command = ['npm run bench:memory --', ...process.argv.slice(2)].join(' ')
  const result = { command, at: new Date().toISOString(), machine: machine(), versions: versions(root), rows }
  mkdirSync(dirname(flags.out), { recursive: true })
  writeFileSync(flags.out, `${JSON.stringify(result, null, 2)}\n`)
  console.log(`written to ${flags.out}`)
}

/** One fleet that grows: 1 worker, then 2, and so on, each time loaded before it is measured. */
async function measure(model: string, mapped: boolean): Promise<Row[]> {
  const [folder = '', dtype = 'fp32'] = model.split(':')
  const dir = resolve(root, folder)
  const alias = basename(dir)
  const home = mkdtempSync(join(tmpdir(), 'millrace-memory-'))
  const configFile = join(home, 'millrace.json')
  writeFileSync(
    configFile,
    JSON.stringify({ models: { [alias]: { path: dir, task: 'feature-extraction', dtype } } }),
  )
  const env = { LOG_LEVEL: 'warn', MILLRACE_CONFIG: configFile, MAPPED_WEIGHTS: String(mapped) }
  const fleet = await startFleet({ root, workers: 0, cacheMaxmemory: '512mb', env })
  const all = scenarios(alias, textMaker(dir, Date.now() % 1e9))
  const rows: Row[] = []
  try {
    for (const count of counts) {
      while (fleet.workers.length < count) await fleet.startWorker()
      for (const scenario of [all.oneByOne, all.arrays, all.mixed]) {
        await closedLoop({ url: fleet.url, seconds, ...scenario })
      }
      const mains = fleet.workers.map(({ pid }) => reading(pid))
      const models = fleet.workers.flatMap(({ pid }) => childrenOf(pid).map(reading))
      const row = { model, mapped, workers: count, main: medianOf(mains), modelProcess: medianOf(models) }
      rows.push({ ...row, addedPssMb: addedPss(rows.at(-1), row) })
      console.log(JSON.stringify(shown(rows.at(-1) ?? { ...row, addedPssMb: null })))
    }
  } finally {
    await fleet.stop()
    rmSync(home, { recursive: true, force: true })
  }
  return rows
}

function reading(pid: number): Memory {
  const memory = memoryOf(pid)
  if (memory === null) throw new Error(`process ${pid} is gone`)
  return memory
}

function medianOf(all: readonly Memory[]): Memory {
  const of = (field: keyof Memory) => median(all.map((one) => one[field]))
  return { pssMb: of('pssMb'), privateMb: of('privateMb'), sharedMb: of('sharedMb') }
}

function addedPss(before: Row | undefined, now: Omit<Row, 'addedPssMb'>): number | null {
  if (before === undefined) return null
  const pss = (row: Omit<Row, 'addedPssMb'>) => row.workers * (row.main.pssMb + row.modelProcess.pssMb)
  return (pss(now) - pss(before)) / (now.workers - before.workers)
}

function shown(row: Row) {
  const n = (value: number) => Math.round(value)
  return {
    model: row.model,
    mapped: row.mapped,
    workers: row.workers,
    'main: private': n(row.main.privateMb),
    'model process: private': n(row.modelProcess.privateMb),
    'both: private MB': n(row.main.privateMb + row.modelProcess.privateMb),
    'both: shared MB': n(row.main.sharedMb + row.modelProcess.sharedMb),
    'both: PSS MB': n(row.main.pssMb + row.modelProcess.pssMb),
    'each added worker: PSS MB': row.addedPssMb === null ? '' : n(row.addedPssMb),
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
