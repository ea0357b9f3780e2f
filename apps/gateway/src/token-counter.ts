/**
 * Owns: finding texts that are too long for their model, within a budget per request. A courtesy: the worker checks every
 * text again and decides, so a text too dear to count passes here. Counting costs 1.3 µs a character, 8 µs of Chinese.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FieldError } from '@millrace/contracts'
import { isMessages, isPair, isTokenIds, readPair, type TextTokenizer, writePair } from '@millrace/tokenizer'

/** A text of fewer characters than tokens are left beside these cannot be too long. */
const specialTokens = 2
/** Characters counted per request (1.4 s of English), and in one turn of the event loop: others wait some 5 ms for us. */
const budgetChars = 1_048_576
const turnChars = 4096
/** English has some 4.5 characters a token: this much of a far too long text tells that it is one. */
const prefixCharsPerToken = 8

export class TokenCounter {
  readonly #tokenizer: TextTokenizer
  #left = budgetChars
  #sinceRest = 0

  constructor(tokenizer: TextTokenizer) {
    this.#tokenizer = tokenizer
  }

  faultOf(text: string): Omit<FieldError, 'path'> | undefined {
    const { maxTokens } = this.#tokenizer
    if (text.length <= maxTokens - specialTokens) return undefined
    const prefix = prefixOf(text, maxTokens)
    if (prefix && this.#count(prefix.text) > prefix.moreThan)
      return tooLong(`more than ${maxTokens}`, maxTokens)
    const tokens = this.#count(text)
    return tokens > maxTokens ? tooLong(String(tokens), maxTokens) : undefined
  }

  /**
   * As the model counts it, specials and all, but no more than the model takes unless it reads all in parts (`whole`);
   * undefined where the budget is used up.
   */
  tokensOf(text: string, { whole = false }: { whole?: boolean } = {}): number | undefined {
    if (text.length > this.#left) return undefined
    const tokens = this.#count(text)
    return whole ? tokens : Math.min(tokens, this.#tokenizer.maxTokens)
  }

  /** Whether other requests have waited long enough. */
  get needsRest(): boolean {
    return this.#sinceRest > turnChars
  }

  async rest(): Promise<void> {
    this.#sinceRest = 0
    await nextTurn()
  }

  /** 0 where the budget does not reach. */
  #count(text: string): number {
    if (text.length > this.#left) return 0
    this.#left -= text.length
    this.#sinceRest += text.length
    return this.#tokenizer.count(text)
  }
}

/** How many tokens of a text the model is given, special ones included: what is longer than it takes is cut or fails. */
export function tokensGiven(tokenizer: Pick<TextTokenizer, 'count' | 'maxTokens'>, text: string): number {
  const { maxTokens } = tokenizer
  const prefix = isTokenIds(text) ? undefined : prefixOf(text, maxTokens)
  if (prefix && tokenizer.count(prefix.text) > prefix.moreThan) return maxTokens
  return Math.min(tokenizer.count(text), maxTokens)
}

function tooLong(tokens: string, maxTokens: number): Omit<FieldError, 'path'> {
  const detail = `${tokens} tokens; this model takes at most ${maxTokens} (or set truncate)`
  return { code: 'input_too_long', detail }
}

/**
 * A beginning of the text, and the count above which the whole text is too long for sure: cut between words it holds
 * the text's own first tokens; cut inside a word, its last piece may have more tokens than the word would.
 */
function prefixOf(text: string, maxTokens: number): { text: string; moreThan: number } | undefined {
  if (isPair(text)) return pairPrefixOf(text, maxTokens)
  // A part of them is no messages.
  if (isMessages(text)) return undefined
  const limit = maxTokens * prefixCharsPerToken
  if (text.length <= limit) return undefined
  const space = text.lastIndexOf(' ', limit)
  if (space > limit / 2) return { text: text.slice(0, space), moreThan: maxTokens }
  return { text: text.slice(0, limit), moreThan: maxTokens * 2 }
}

/** The same of a pair: a beginning of each text. */
function pairPrefixOf(pair: string, maxTokens: number): { text: string; moreThan: number } | undefined {
  const { first, second } = readPair(pair)
  const [a, b] = [prefixOf(first, maxTokens), prefixOf(second, maxTokens)]
  if (!a && !b) return undefined
  return {
    text: writePair({ first: a?.text ?? first, second: b?.text ?? second }),
    // Of two that are cut inside a word each may have gained some tokens by it.
    moreThan: Math.max(a?.moreThan ?? 0, b?.moreThan ?? 0) * (a && b ? 2 : 1),
  }
}
