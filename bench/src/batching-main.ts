/**
 * `npm run bench:batching`: mixed lengths through two fleets that differ in their workers' batcher alone, ours and batches
 * of 32 in the order of arrival. Each round gives both the same lengths in the same order; the fleets take turns, because a
 * machine's speed drifts.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig } from '@millrace/config'
import { type Fleet, startFleet } from '@millrace/testkit'
import { closedLoop } from './closed-loop.js'
import { machine, median, versions } from './machine.js'
import { busyTokensPerS, paddingRatio, tokensRun } from './padding-ratio.js'
import { mixedTokens } from './scenarios.js'
import { type TextMaker, textMaker } from './texts.js'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const { values: flags } = parseArgs({
  options: {
    workers: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    texts: { type: 'string', default: '256' },
    out: { type: 'string', default: join(root, 'bench/results', 'batching.json') },
  },
})
const workers = Number(flags.workers)
const rounds = Number(flags.rounds)
const textsPerRound = Number(flags.texts)
/** No round takes longer, whatever the machine. */
const limitS = 180

type Kind = 'millrace' | 'arrival order'

interface Load {
  name: string
  connections: number
  /** Texts of one request. */
  array: number
}

/** Connections enough that 32 items are in hand for each worker; no more, so that a slow machine answers in time. */
const loads: Load[] = [
  { name: 'one text per request', connections: 32 * workers, array: 1 },
  { name: 'arrays of 32', connections: workers, array: 32 },
]

interface Round {
  textsPerS: number
  /** Real tokens per second of forward pass: without the wait for the last batch of a round. */
  busyTokensPerS: number
  padding: number
}

async function main(): Promise<void> {
  const config = loadConfig({ MILLRACE_CONFIG: join(root, 'millrace.json') })
  const model = config.models.get(config.served[0] ?? '')
  if (!model?.dir) throw new Error('the benchmark needs a local model as the first of millrace.json')
  const texts = textMaker(model.dir, 20260102)
  const common = { root, workers, cacheMaxmemory: '1gb' }
  const fleets = new Map<Kind, Fleet>()
  try {
    fleets.set('millrace', await startFleet({ ...common, env: { LOG_LEVEL: 'warn' } }))
    const workerEntry = join(root, 'bench/dist/arrival-worker.js')
    // Its batcher knows no area: this only lets a worker take 32 texts ahead. Its batches take long.
    const ahead = { BATCH_ITEMS: '32', BATCH_TOKENS: String(16 * mixedTokens.to), BATCH_TIMEOUT_MS: '120000' }
    const env = { LOG_LEVEL: 'warn', ...ahead }
    fleets.set('arrival order', await startFleet({ ...common, workerEntry, env }))
    const rows = []
    for (const load of loads) rows.push(await compare(load, fleets, model.alias, texts))
    const result = {
      machine: machine(),
      versions: versions(root),
      workers,
      rounds,
      textsPerRound,
      mixedTokens,
      rows,
    }
    print(rows)
    mkdirSync(dirname(flags.out), { recursive: true })
    writeFileSync(flags.out, `${JSON.stringify(result, null, 2)}\n`)
    console.log(`\nwritten to ${flags.out}`)
  } finally {
    // What ended the run is not to be hidden by what is in hand then.
    for (const fleet of fleets.values()) await fleet.stop().catch((error: unknown) => console.error(error))
  }
}

async function compare(load: Load, fleets: ReadonlyMap<Kind, Fleet>, model: string, texts: TextMaker) {
  const seen: Record<Kind, Round[]> = { millrace: [], 'arrival order': [] }
  for (let round = -1; round < rounds; round++) {
    // The first round warms up; who begins changes.
    const kinds = round % 2 === 0 ? [...fleets] : [...fleets].reverse()
    const count = round < 0 ? 64 : textsPerRound
    const lengths = Array.from({ length: count }, () => texts.integer(mixedTokens.from, mixedTokens.to))
    for (const [kind, fleet] of kinds) {
      const one = await run(load, fleet, model, lengths, texts)
      if (round < 0) continue
      seen[kind].push(one)
      console.log(
        `${load.name}, round ${round + 1}, ${kind}: ${one.textsPerS.toFixed(1)} texts/s, ${one.busyTokensPerS.toFixed(0)} tokens/s busy, padding ${one.padding.toFixed(3)}`,
      )
    }
  }
  const ratiosOf = (figure: 'textsPerS' | 'busyTokensPerS') =>
    seen.millrace.map((one, i) => one[figure] / (seen['arrival order'][i]?.[figure] ?? Number.NaN))
  const ratios = ratiosOf('textsPerS')
  const busyRatios = ratiosOf('busyTokensPerS')
  return {
    name: load.name,
    ratio: median(ratios),
    busyRatio: median(busyRatios),
    ratios,
    busyRatios,
    ...seen,
  }
}

/** The same lengths whoever runs them, in other words each time: no cache knows them. */
async function run(
  { connections, array }: Load,
  fleet: Fleet,
  model: string,
  lengths: readonly number[],
  texts: TextMaker,
): Promise<Round> {
  const bodies: { body: string; texts: number }[] = []
  for (let at = 0; at < lengths.length; at += array) {
    const inputs = lengths.slice(at, at + array).map((tokens) => texts.distinct(tokens))
    bodies.push({ body: JSON.stringify({ model, inputs }), texts: inputs.length })
  }
  const requests = bodies.length
  const next = () => bodies.pop() ?? { body: '', texts: 0 }
  const before = await tokensRun(fleet)
  const { textsPerS } = await closedLoop({ url: fleet.url, connections, seconds: limitS, requests, next })
  const after = await tokensRun(fleet)
  return { textsPerS, busyTokensPerS: busyTokensPerS(before, after), padding: paddingRatio(before, after) }
}

function print(rows: Awaited<ReturnType<typeof compare>>[]): void {
  console.table(
    rows.map((row) => {
      const of = (kind: Kind, pick: (round: Round) => number) => median(row[kind].map(pick))
      return {
        load: row.name,
        'texts/s': of('millrace', ({ textsPerS }) => textsPerS).toFixed(1),
        padding: of('millrace', ({ padding }) => padding).toFixed(3),
        'arrival order texts/s': of('arrival order', ({ textsPerS }) => textsPerS).toFixed(1),
        'its padding': of('arrival order', ({ padding }) => padding).toFixed(3),
        ratio: row.ratio.toFixed(2),
        'of busy time': row.busyRatio.toFixed(2),
        'of rounds': row.ratios.map((ratio) => ratio.toFixed(2)).join(' '),
      }
    }),
  )
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
