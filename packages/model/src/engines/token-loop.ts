/**
 * One text, token by token: what the decoder holds, what comes next, when it ends. Lets messages through between two
 * steps. Knows nothing of what the tokens mean.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Ending, WrittenTokens } from '../generation/written-tokens.js'
import type { CachedSequence } from './cached-decoder.js'

export interface TokenLoop {
  /** The first tokens that the decoder gets; at least one. */
  readonly prompt: readonly number[]
  /**
   * Takes the next token, from logits that it may change.
   * @param held all tokens that the decoder holds
   * @param written how many of these are new
   */
  readonly next: (logits: Float32Array, held: readonly number[], written: number) => number
  /** Whether these new tokens are all, and why. */
  readonly ending: (ids: readonly number[]) => Ending | undefined
  readonly signal?: AbortSignal | undefined
  readonly onToken?: (at: number, id: number) => void
}

export async function writeTokens(sequence: CachedSequence, loop: TokenLoop): Promise<WrittenTokens> {
  const { prompt, next, signal } = loop
  const ids: number[] = []
  // Grown, not copied: a text may have many thousand tokens.
  const held = [...prompt]
  let logits = await sequence.step(prompt)
  for (;;) {
    const id = next(logits, held, ids.length)
    loop.onToken?.(ids.length, id)
    ids.push(id)
    held.push(id)
    const ending = loop.ending(ids)
    if (ending !== undefined) return { ending, ids }
    await nextTurn()
    if (signal?.aborted) return { ending: 'ended', ids }
    logits = await sequence.step([id])
  }
}
