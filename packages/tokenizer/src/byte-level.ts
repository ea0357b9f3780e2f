/**
 * Byte-level tokens as text. The library's own decoder takes every letter for a byte; the reference's (huggingface/tokenizers,
 * decoders of ByteLevel) takes a token that holds any other letter, such as a space, as the text that it is.
 */

/** GPT-2's `bytes_to_unicode`, turned round: letters that can be seen stand for themselves, other bytes for those from 256 on. */
const byteOf = new Map<string, number>()
let next = 256
for (let byte = 0; byte < 256; byte++) {
  const seen = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255)
  byteOf.set(String.fromCharCode(seen ? byte : next++), byte)
}

export function byteLevelText(tokens: readonly string[]): string {
  const parts = tokens.map((token) => {
    const bytes = Array.from(token, (letter) => byteOf.get(letter))
    return bytes.includes(undefined) ? Buffer.from(token) : Buffer.from(bytes as number[])
  })
  return Buffer.concat(parts).toString('utf8')
}
