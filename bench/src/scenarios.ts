/** What is measured: each scenario makes its own requests, and says what it is compared with. */
import type { TextMaker } from './texts.js'

export interface Scenario {
  name: string
  connections: number
  next: () => { body: string; texts: number }
}

export const shortTokens = 20
const zipfTexts = 2000
const arraySize = 32

/** Tokens of the mixed-length scenario, both included. */
export const mixedTokens = { from: 5, to: 250 }

export function scenarios(model: string, texts: TextMaker) {
  const one = (input: string) => ({ body: JSON.stringify({ model, input }), texts: 1 })
  const many = (inputs: string[]) => ({ body: JSON.stringify({ model, inputs }), texts: inputs.length })
  const repeated = Array.from({ length: zipfTexts }, () => texts.distinct(shortTokens))
  const hot = one(texts.distinct(shortTokens))
  const short = () => texts.distinct(shortTokens)
  const mixed = () => texts.distinct(texts.integer(mixedTokens.from, mixedTokens.to))
  return {
    /** The request for one text. */
    one,
    few: { name: 'one text, 8 connections', connections: 8, next: () => one(short()) },
    oneByOne: { name: 'one text, 32 connections', connections: 32, next: () => one(short()) },
    arrays: {
      name: `arrays of ${arraySize}, 8 connections`,
      connections: 8,
      next: () => many(Array.from({ length: arraySize }, short)),
    },
    zipf: {
      name: `${zipfTexts} texts by Zipf's law, 32 connections`,
      connections: 32,
      next: () => one(repeated[texts.zipf(zipfTexts)] ?? ''),
    },
    hot: { name: 'one hot text, 32 connections', connections: 32, next: () => hot },
    mixed: {
      name: `${mixedTokens.from}-${mixedTokens.to} tokens, 32 connections`,
      connections: 32,
      next: () => one(mixed()),
    },
  }
}
