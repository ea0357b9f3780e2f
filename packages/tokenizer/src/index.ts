export { loadTextTokenizer, type TextTokenizer } from './text-tokenizer.js'
