/**
 * Whether a row of memory readings grows: Sen's slope, the median of the slopes of all pairs, which no outlier moves, and
 * the end of its confidence interval by Kendall's variance (P. K. Sen, Estimates of the regression coefficient based on
 * Kendall's tau, 1968). Pure.
 */
export interface Reading {
  readonly minutes: number
  readonly mb: number
}

export interface Slope {
  /** MB per minute. */
  readonly slope: number
  /** The slope is above this with a probability of 99 %, were the readings independent. */
  readonly atLeast: number
}

/** One-sided 99 % of the normal distribution. */
const z = 2.326

/** @throws Error on fewer than 10 readings: they say nothing */
export function memorySlope(readings: readonly Reading[]): Slope {
  const n = readings.length
  if (n < 10) throw new Error(`${n} readings are too few`)
  const slopes = new Float64Array((n * (n - 1)) / 2)
  let at = 0
  readings.forEach((a, place) => {
    for (const b of readings.slice(place + 1)) slopes[at++] = (b.mb - a.mb) / (b.minutes - a.minutes)
  })
  slopes.sort()
  const margin = z * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18)
  return {
    slope: slopes[Math.floor(slopes.length / 2)] ?? Number.NaN,
    atLeast: slopes[Math.max(0, Math.floor((slopes.length - margin) / 2))] ?? Number.NaN,
  }
}

/**
 * What a process may gain over the readings and still count as flat: noise of the allocator and of code that V8 has just
 * optimised. A real leak passes it once it is watched for long enough.
 */
export const driftMb = 4

export function isFlat(readings: readonly Reading[]): boolean {
  const minutes = (readings.at(-1)?.minutes ?? 0) - (readings[0]?.minutes ?? 0)
  return memorySlope(readings).atLeast * minutes <= driftMb
}
