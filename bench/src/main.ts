/**
 * `npm run bench`: the fleet under a closed loop, beside the ceiling of the same run. Rounds of fleet and ceiling
 * alternate, and are many and short, because a machine's speed drifts; each figure is the median of its rounds.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig } from '@millrace/config'
import { loadModel, threadsFor } from '@millrace/model'
import { type Fleet, startFleet } from '@millrace/testkit'
import { ceilingThroughput } from './ceiling.js'
import { closedLoop, type LoopResult } from './closed-loop.js'
import { fleetMemory, type ProcessMemory } from './fleet-memory.js'
import { type IdleLatency, idleLatency } from './idle-latency.js'
import { machine, median, versions } from './machine.js'
import { paddingRatio, tokensRun } from './padding-ratio.js'
import { mixedTokens, type Scenario, scenarios, shortTokens } from './scenarios.js'
import { textMaker } from './texts.js'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const { values: flags } = parseArgs({
  options: {
    workers: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
    'warm-up': { type: 'string', default: '60' },
    out: {
      type: 'string',
      default: join(
        root,
        'bench/results',
        `local-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.json`,
      ),
    },
  },
})
const workers = Number(flags.workers)
const rounds = Number(flags.rounds)
const seconds = Number(flags.seconds)
/** Before each round, and not counted, of fleet and ceiling alike: what the other one left cold is warm again after it. */
const leadInSeconds = 1
const time = { seconds, leadInSeconds }

interface Row {
  name: string
  rounds: LoopResult[]
  ceilingTextsPerS: number[]
}

async function main(): Promise<void> {
  const config = loadConfig({ MILLRACE_CONFIG: join(root, 'millrace.json') })
  const model = config.models.get(config.served[0] ?? '')
  if (!model?.dir) throw new Error('the benchmark needs a local model as the first of millrace.json')
  const texts = textMaker(model.dir, 20260101)
  const direct = await loadModel({
    alias: model.alias,
    task: model.task,
    dtype: model.dtype,
    dir: model.dir,
    dataDir: config.MILLRACE_DATA_DIR,
    processes: workers,
    threads: threadsFor(model.limits.threads, workers),
    batchTimeoutMs: model.limits.batchTimeoutMs,
    strictBatching: false,
  })
  const fleet = await startFleet({ root, workers, cacheMaxmemory: '1gb', env: { LOG_LEVEL: 'warn' } })
  try {
    const all = scenarios(model.alias, texts)
    const area = typeof model.limits.batchTokens === 'number' ? model.limits.batchTokens : 256
    const short = Array.from({ length: 512 }, () => texts.distinct(shortTokens))
    const mixed = Array.from({ length: 512 }, () =>
      texts.distinct(texts.integer(mixedTokens.from, mixedTokens.to)),
    )
    // For about a minute V8 still compiles what runs, at the expense of what is measured; of many texts it is other code.
    for (const scenario of [all.arrays, all.oneByOne]) {
      await closedLoop({ url: fleet.url, seconds: Number(flags['warm-up']), ...scenario })
    }

    const next = () => texts.distinct(shortTokens)
    const idle = await idleLatency({ url: fleet.url, direct, pairs: 50 * rounds, next, one: all.one })
    const rows = [
      await alternate(all.oneByOne, fleet, () => ceilingThroughput(direct, short, area, time)),
      await alternate(all.few, fleet, () => ceilingThroughput(direct, short, area, time)),
      await alternate(all.arrays, fleet, () => ceilingThroughput(direct, short, area, time)),
      await alternate(all.zipf, fleet),
      await alternate(all.hot, fleet),
    ]
    const before = await tokensRun(fleet)
    rows.push(await alternate(all.mixed, fleet, () => ceilingThroughput(direct, mixed, area, time)))
    const padding = paddingRatio(before, await tokensRun(fleet))
    const memory = fleetMemory(fleet)
    const result = {
      machine: machine(),
      versions: versions(root),
      workers,
      rounds,
      ...time,
      idle,
      rows,
      padding,
      memory,
    }
    print(result)
    mkdirSync(dirname(flags.out), { recursive: true })
    writeFileSync(flags.out, `${JSON.stringify(result, null, 2)}\n`)
    console.log(`\nwritten to ${flags.out}`)
  } finally {
    await fleet.stop()
    await direct.close()
  }
}

async function alternate(scenario: Scenario, fleet: Fleet, ceiling?: () => Promise<number>): Promise<Row> {
  const row: Row = { name: scenario.name, rounds: [], ceilingTextsPerS: [] }
  for (let round = 0; round < rounds; round++) {
    if (ceiling) row.ceilingTextsPerS.push(await ceiling())
    row.rounds.push(await closedLoop({ url: fleet.url, ...time, ...scenario }))
  }
  return row
}

function print(result: { idle: IdleLatency; rows: Row[]; padding: number; memory: ProcessMemory[] }): void {
  const n = (value: number, digits = 0) => value.toFixed(digits)
  console.log(
    `\nidle miss: ${n(result.idle.fleetMs, 1)} ms at the median, engine alone ${n(result.idle.directMs, 1)} ms, added ${n(result.idle.addedMs, 1)} ms\n`,
  )
  console.table(
    result.rows.map((row) => {
      const of = (pick: (round: LoopResult) => number) => median(row.rounds.map(pick))
      const ratios = row.ceilingTextsPerS.map(
        (ceiling, i) => (row.rounds[i]?.textsPerS ?? Number.NaN) / ceiling,
      )
      return {
        scenario: row.name,
        'requests/s': n(of((round) => round.requestsPerS)),
        'texts/s': n(of((round) => round.textsPerS)),
        'ceiling texts/s': ratios.length === 0 ? '' : n(median(row.ceilingTextsPerS)),
        'of ceiling': ratios.length === 0 ? '' : `${n(100 * median(ratios))} %`,
        'p50 ms': n(
          of(({ latencyMs }) => latencyMs.p50),
          1,
        ),
        'p95 ms': n(
          of(({ latencyMs }) => latencyMs.p95),
          1,
        ),
        'p99 ms': n(
          of(({ latencyMs }) => latencyMs.p99),
          1,
        ),
        'generator cores': n(
          of((round) => round.generatorCores),
          2,
        ),
      }
    }),
  )
  console.log(`padding ratio of the mixed lengths (padded / real tokens): ${n(result.padding, 3)}`)
  console.table(
    result.memory.map(({ name, pssMb, privateMb }) => ({
      process: name,
      'PSS MB': n(pssMb),
      'private MB': n(privateMb),
    })),
  )
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
