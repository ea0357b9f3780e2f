/** Seeded texts of a known token count: words that the model's vocabulary holds whole, so that one word is one token. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TextMaker {
  /** A text of exactly `tokens` tokens, special ones included; never the same twice. */
  distinct(tokens: number): string
  /** A whole number in [from, to]. */
  integer(from: number, to: number): number
  /** An index below `count` by Zipf's law (exponent 1): the first is asked for most. */
  zipf(count: number): number
}

const specialTokens = 2

export function textMaker(modelDir: string, seed: number): TextMaker {
  const words = wholeWords(modelDir)
  const random = mulberry32(seed)
  const integer = (from: number, to: number) => from + Math.floor(random() * (to - from + 1))
  const harmonic = new Map<number, number>()
  return {
    integer,
    distinct: (tokens) =>
      Array.from(
        { length: Math.max(1, tokens - specialTokens) },
        () => words[integer(0, words.length - 1)],
      ).join(' '),
    zipf(count) {
      let total = harmonic.get(count)
      if (total === undefined) {
        total = Array.from({ length: count }, (_, i) => 1 / (i + 1)).reduce((sum, share) => sum + share, 0)
        harmonic.set(count, total)
      }
      let left = random() * total
      for (let i = 0; i < count; i++) {
        left -= 1 / (i + 1)
        if (left <= 0) return i
      }
      return count - 1
    },
  }
}

function wholeWords(modelDir: string): string[] {
  const tokenizer = JSON.parse(readFileSync(join(modelDir, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> }
  }
  return Object.keys(tokenizer.model.vocab).filter((word) => /^[a-z]{3,10}$/.test(word))
}

/** A small seeded generator (public domain, by Tommy Ettinger): the same texts in every run. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
