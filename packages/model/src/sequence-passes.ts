/**
 * Many sequences to a few forward passes: an item of a hundred labels, or of a book to be searched, must not become one
 * tensor. Knows lengths only.
 */

/**
 * Most padded tokens of one pass. Nothing is gained above some 500 on a CPU, and attention's memory grows with length
 * times this. Large enough that the few sequences of the self-test share one pass, so that it sees what company does.
 */
export const passArea = 4096

/**
 * @param lengths of the sequences
 * @returns their places, pass by pass: by length, so that little is padded; a sequence longer than `area` is alone
 */
export function cutInPasses(lengths: readonly number[], area = passArea): number[][] {
  const byLength = lengths.map((_, place) => place).sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0))
  const passes: number[][] = []
  let pass: number[] = []
  for (const place of byLength) {
    // The longest so far is the last one.
    if (pass.length > 0 && (pass.length + 1) * (lengths[place] ?? 0) > area) {
      passes.push(pass)
      pass = []
    }
    pass.push(place)
  }
  if (pass.length > 0) passes.push(pass)
  return passes
}
