/** How a float32 is written in JSON: wherever vectors become numbers, they become the same ones. */

/** 10^0 .. 10^22: the powers of ten that a double holds exactly, so that one division rounds correctly. */
const powers = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))
const mostDigits = 9

/**
 * The double whose decimal form is the short form of this float32: at most 9 significant digits, where the float32's
 * own double needs 17. By arithmetic, 0.1 ms per 384 numbers; by way of text it is five times that. JSON has no word
 * for NaN or infinity and writes null.
 */
export function shortFloat(value: number): number {
  const size = Math.abs(value)
  // Outside this range the powers above do not reach; no embedding is that small or large.
  if (!(size >= 1e-13 && size < 1e9)) return shortByText(value)
  const firstDigit = Math.floor(Math.log10(size))
  for (let digits = 6; digits <= mostDigits; digits++) {
    const power = powers[digits - 1 - firstDigit]
    if (power === undefined) continue
    const short = Math.round(value * power) / power
    if (Math.fround(short) === value) return short
  }
  return shortByText(value)
}

function shortByText(value: number): number {
  const short = Number(value.toPrecision(mostDigits))
  return Math.fround(short) === value ? short : value
}
