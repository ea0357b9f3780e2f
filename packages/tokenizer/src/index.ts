export { type Mask, masksFault } from './mask.js'
export { isPair, type Pair, readPair, writePair } from './pair.js'
export { type EncodedText, loadTextTokenizer, type TextTokenizer } from './text-tokenizer.js'
export { isTokenIds, writeTokenIds } from './token-ids.js'
