export { loadTextTokenizer, type TextTokenizer } from './text-tokenizer.js'
export { isTokenIds, writeTokenIds } from './token-ids.js'
