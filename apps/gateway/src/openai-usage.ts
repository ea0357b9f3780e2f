/**
 * Owns: how many tokens a request holds, exactly, as its answer must say. Short texts are remembered: counting a hot
 * text anew (0.1 ms) would cost as much as all the rest of its answer. Knows one model's tokenizer and nothing else.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TextTokenizer } from '@millrace/tokenizer'
import { tokensGiven } from './token-counter.js'

/** Characters counted in one turn of the event loop: others wait some 5 ms for us. */
const turnChars = 4096
/** Of one text worth remembering, and of all that are remembered. */
const rememberedTextChars = 1024
const rememberedChars = 1 << 20

export class TokenCounts {
  readonly #tokenizer: Pick<TextTokenizer, 'count' | 'maxTokens'>
  /** Least recently asked for first. */
  readonly #known = new Map<string, number>()
  #chars = 0

  constructor(tokenizer: Pick<TextTokenizer, 'count' | 'maxTokens'>) {
    this.#tokenizer = tokenizer
  }

  /**
   * The model's own tokens, special ones included, as the model is given them; an input that comes twice counts twice.
   * @throws MillraceError invalid_input for token ids that are not the model's
   */
  async total(inputs: readonly string[]): Promise<number> {
    let tokens = 0
    let sinceRest = 0
    for (const input of inputs) {
      const known = this.#recall(input)
      tokens += known ?? this.#count(input)
      sinceRest += known === undefined ? input.length : 0
      if (sinceRest < turnChars) continue
      sinceRest = 0
      await nextTurn()
    }
    return tokens
  }

  #count(input: string): number {
    const tokens = tokensGiven(this.#tokenizer, input)
    if (input.length <= rememberedTextChars) this.#remember(input, tokens)
    return tokens
  }

  #recall(input: string): number | undefined {
    const tokens = this.#known.get(input)
    if (tokens === undefined) return undefined
    this.#known.delete(input)
    this.#known.set(input, tokens)
    return tokens
  }

  #remember(input: string, tokens: number): void {
    this.#known.set(input, tokens)
    this.#chars += input.length
    for (const oldest of this.#known.keys()) {
      if (this.#chars <= rememberedChars) break
      this.#known.delete(oldest)
      this.#chars -= oldest.length
    }
  }
}
