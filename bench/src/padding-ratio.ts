/** Padded over real tokens that the workers ran between two scrapes of their metrics. */
import type { Fleet } from '@millrace/testkit'

/** The metrics of each worker. */
export function tokensRun(fleet: Fleet): Promise<string[]> {
  return Promise.all(fleet.workers.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()))
}

export function paddingRatio(before: readonly string[], after: readonly string[]): number {
  const grown = (name: string) => total(after, name) - total(before, name)
  return grown('millrace_batch_padded_tokens_total') / grown('millrace_batch_real_tokens_total')
}

function total(scrapes: readonly string[], name: string): number {
  let sum = 0
  for (const scrape of scrapes) {
    for (const line of scrape.split('\n'))
      if (line.startsWith(`${name}{`)) sum += Number(line.split(' ').at(-1))
  }
  return sum
}
