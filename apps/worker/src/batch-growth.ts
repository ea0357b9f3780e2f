/**
 * One batch whose items grow while a model process runs it: reads each along, tells its text, and ends the run once no
 * item of it needs another token. Knows neither claims nor jobs.
 */
import type { GeneratedText } from '@millrace/contracts'
import type { Follower, LoadedModel, RunHooks, TaskResult } from '@millrace/model'
import type { ItemInFlight } from './items-in-flight.js'

export class BatchGrowth {
  readonly hooks: RunHooks
  readonly #ending = new AbortController()
  readonly #open: Set<ItemInFlight>

  constructor(items: readonly ItemInFlight[], follow: NonNullable<LoadedModel['follow']>) {
    this.#open = new Set(items)
    const followers = new Map<ItemInFlight, Follower>(items.map((item) => [item, follow(item.encoded, item)]))
    this.hooks = {
      signal: this.#ending.signal,
      onTokens: (place, at, ids) => {
        const item = items[place]
        const heard = item && followers.get(item)?.tokens(at, ids)
        if (item === undefined || heard === undefined) return
        item.grow(heard.text)
        if (heard.ended) this.#end(item)
      },
    }
  }

  /** Abandons the items that `match` fits. What they have by then, nobody gets. */
  abandon(match: (item: ItemInFlight) => boolean, why: Error): void {
    for (const item of [...this.#open].filter(match)) {
      item.abandon(why)
      this.#end(item)
    }
  }

  #end(item: ItemInFlight): void {
    this.#open.delete(item)
    if (this.#open.size === 0) this.#ending.abort()
  }
}

/** Of a result whose item grew: the whole text. */
export function wholeTextOf(result: TaskResult): string | undefined {
  return result.kind === 'value' ? (result.value as Partial<GeneratedText>).generated_text : undefined
}
