/**
 * New tokens as the text that a client reads: what they add to the prompt, up to the first stop string. The same words
 * whether read along, piece by piece, or at the end. Knows ids and texts only.
 */
import type { GeneratedText } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { Follower } from '../tasks/model-task.js'
import type { WrittenTokens } from './written-tokens.js'

/** After so many tokens more, what is written so far is not decoded again: a text may have many thousand tokens. */
const settleEvery = 16

interface Settled {
  /** Tokens, and the text they are, in whole characters. */
  readonly count: number
  readonly text: string
}

export interface WholeText extends Pick<GeneratedText, 'generated_text' | 'finish_reason'> {
  /** Tokens of the text, those of the stop string or the end token included. */
  readonly generated: number
  /** It was cut short by time, so it is nobody else's answer. */
  readonly partial: boolean
}

/** The last tokens of a prompt: a tokenizer writes a text's first token otherwise than one that follows. */
const contextTokens = 5
/** Stands for bytes that are no whole character (yet). */
const broken = '\ufffd'

export class WrittenText {
  readonly #tokenizer: Pick<TextTokenizer, 'decode'>
  readonly #context: readonly number[]
  readonly #contextText: string
  readonly #stops: readonly string[]

  /** @param prompt tokens that the text goes on from; of a decoder behind an encoder none */
  constructor(
    tokenizer: Pick<TextTokenizer, 'decode'>,
    { prompt, stops }: { prompt: Int32Array; stops: readonly string[] },
  ) {
    this.#tokenizer = tokenizer
    this.#context = [...prompt.slice(-contextTokens)]
    this.#contextText = this.#decode(this.#context)
    this.#stops = stops
  }

  /** What a client reads of an item that has ended. `partial`: with more time it would have become another text. */
  whole({ ending, ids }: WrittenTokens): WholeText {
    const { text, stopped } = this.#cut(this.#textOf(ids))
    if (stopped) {
      const generated = this.#tokensToStop(ids)
      return { generated_text: text, finish_reason: 'stop', generated, partial: false }
    }
    // Who ended it from outside has left; nobody reads this.
    const finish_reason = ending === 'ended' ? 'time' : ending
    const partial = finish_reason === 'time'
    return { generated_text: text, finish_reason, generated: ids.length, partial }
  }

  follower(): Follower {
    const ids: number[] = []
    let settled: Settled = { count: 0, text: '' }
    return {
      tokens: (at, more) => {
        ids.splice(at, ids.length, ...more)
        if (at < settled.count) settled = { count: 0, text: '' }
        const whole = settled.text + this.#textAfter(ids, settled.count)
        if (ids.length - settled.count >= settleEvery && !whole.endsWith(broken)) {
          settled = { count: ids.length, text: whole }
        }
        const { text, stopped } = this.#cut(whole)
        return { text: stopped ? text : this.#sure(text), ended: stopped }
      },
    }
  }

  /** The engine hears of a stop string late, and has gone on by then; how far, is chance. */
  #tokensToStop(ids: readonly number[]): number {
    let [from, to] = [1, ids.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (this.#cut(this.#textOf(ids.slice(0, middle))).stopped) to = middle
      else from = middle + 1
    }
    return to
  }

  #textOf(ids: readonly number[]): string {
    return this.#textAfter(ids, 0)
  }

  /** What the tokens from place `from` on add to those before them. */
  #textAfter(ids: readonly number[], from: number): string {
    if (from === 0) return this.#decode([...this.#context, ...ids]).slice(this.#contextText.length)
    const before = ids.slice(Math.max(0, from - contextTokens), from)
    return this.#decode([...before, ...ids.slice(from)]).slice(this.#decode(before).length)
  }

  #decode(ids: readonly number[]): string {
    if (ids.length === 0) return ''
    return this.#tokenizer.decode(ids, { special: false, verbatim: true })
  }

  #cut(text: string): { text: string; stopped: boolean } {
    const at = Math.min(...this.#stops.map((stop) => indexOrEnd(text, stop)))
    return at < text.length ? { text: text.slice(0, at), stopped: true } : { text, stopped: false }
  }

  /** Without what the next tokens may change: half a character, the beginning of a stop string. */
  #sure(text: string): string {
    let end = text.length
    while (end > 0 && text[end - 1] === broken) end -= 1
    const whole = text.slice(0, end)
    const begun = Math.max(0, ...this.#stops.map((stop) => overlap(whole, stop)))
    return whole.slice(0, whole.length - begun)
  }
}

function indexOrEnd(text: string, stop: string): number {
  const at = text.indexOf(stop)
  return at < 0 ? Number.POSITIVE_INFINITY : at
}

/** How many last characters of `text` are the first ones of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length
  }
  return 0
}
