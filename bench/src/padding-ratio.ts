/** What the workers' forward passes did between two scrapes of their metrics. */
import type { Fleet } from '@millrace/testkit'

/** The metrics of each worker. */
export function tokensRun(fleet: Fleet): Promise<string[]> {
  return Promise.all(fleet.workers.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()))
}

/** Padded over real tokens. */
export function paddingRatio(before: readonly string[], after: readonly string[]): number {
  return grown('millrace_batch_padded_tokens_total', before, after) / realTokens(before, after)
}

/** Real tokens per second of forward pass: what one model process does while it is busy. */
export function busyTokensPerS(before: readonly string[], after: readonly string[]): number {
  return realTokens(before, after) / grown('millrace_inference_seconds_sum', before, after)
}

function realTokens(before: readonly string[], after: readonly string[]): number {
  return grown('millrace_batch_real_tokens_total', before, after)
}

function grown(name: string, before: readonly string[], after: readonly string[]): number {
  return total(after, name) - total(before, name)
}

function total(scrapes: readonly string[], name: string): number {
  let sum = 0
  for (const scrape of scrapes) {
    for (const line of scrape.split('\n'))
      if (line.startsWith(`${name}{`)) sum += Number(line.split(' ').at(-1))
  }
  return sum
}
