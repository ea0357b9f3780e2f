/**
 * Where does a larger batch stop paying? Times passes of growing padded token area and finds the knee of throughput.
 * Knows neither models nor files: what runs a batch, and the clock, are passed in.
 */

export interface AreaSpeed {
  /** Padded tokens of a pass. */
  readonly area: number
  /** Tokens per second, one number per repeat. */
  readonly repeats: readonly number[]
}

export interface Knee {
  readonly area: number
  readonly tokensPerS: number
}

export interface SweepOptions {
  /** Runs a batch of so many equal items. */
  readonly run: (items: number) => Promise<void>
  readonly itemTokens: number
  readonly maxItems: number
  readonly maxArea: number
  /** About the time that it may take; a model that is slow is timed at fewer sizes. */
  readonly budgetMs: number
  readonly now: () => number
}

const minRepeats = 3
const maxRepeats = 9
/** An area this near to the best throughput is as good: the smallest one answers soonest. */
const tolerance = 0.03
/** Typical deviation of the repeats, relative, above which nothing can be told about a few percent. */
export const toleratedNoise = 0.05
/** With fewer sizes there is no curve. */
const minAreas = 3

/** Rounds over all sizes, so that a machine which is busy for a while disturbs all of them alike. */
export async function sweepAreas(options: SweepOptions): Promise<AreaSpeed[]> {
  const { run, itemTokens, maxItems, maxArea, budgetMs, now } = options
  const startedMs = now()
  const timed: { items: number; ms: number[] }[] = []
  const time = async (items: number) => {
    const begunMs = now()
    await run(items)
    return now() - begunMs
  }
  let roundMs = 0
  let lastMs = 0
  for (let items = 1; items <= maxItems && items * itemTokens <= maxArea; items *= 2) {
    // The next takes about twice the last; all of them have to be repeated.
    if ((roundMs + 2 * lastMs) * minRepeats > budgetMs) break
    lastMs = await time(items)
    roundMs += lastMs
    timed.push({ items, ms: [lastMs] })
  }
  for (let round = 1; round < maxRepeats; round++) {
    const usedMs = now() - startedMs
    if (usedMs + roundMs > (round < minRepeats ? 2 : 1) * budgetMs) break
    for (const { items, ms } of timed) ms.push(await time(items))
  }
  return timed.map(({ items, ms }) => {
    const area = items * itemTokens
    return { area, repeats: ms.map((one) => (1000 * area) / one) }
  })
}

/**
 * The smallest area whose median throughput is within 3 % of the best.
 * @throws Error that says why there is nothing to be told: too few sizes or repeats, or too much noise
 */
export function kneeOf(speeds: readonly AreaSpeed[]): Knee {
  if (speeds.length < minAreas || speeds.some(({ repeats }) => repeats.length < minRepeats)) {
    throw new Error('the model is too slow here, or the machine too busy, to be timed at enough sizes')
  }
  const noise = median(speeds.map(({ repeats }) => deviation(repeats)))
  if (noise > toleratedNoise) {
    throw new Error(`the machine is too busy: times of the same batch differ by ${Math.round(100 * noise)} %`)
  }
  const medians = speeds.map(({ area, repeats }) => ({ area, tokensPerS: median(repeats) }))
  const best = Math.max(...medians.map(({ tokensPerS }) => tokensPerS))
  const knee = medians.find(({ tokensPerS }) => tokensPerS >= best * (1 - tolerance))
  if (knee === undefined) throw new Error('no time was measured')
  return knee
}

/** Median distance from the median, relative to it. */
function deviation(values: readonly number[]): number {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle))) / middle
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN
  return (upper + lower) / 2
}
