/**
 * The numbers that a generating engine gives for an item: why it ended, then the new tokens' ids. Both fit a float32
 * exactly. Pure.
 */

/** `ended`: it was told to, whatever for. */
export const endings = ['length', 'stop', 'time', 'ended'] as const
export type Ending = (typeof endings)[number]

export interface WrittenTokens {
  readonly ending: Ending
  readonly ids: readonly number[]
}

export function packWritten({ ending, ids }: WrittenTokens): Float32Array {
  return Float32Array.from([endings.indexOf(ending), ...ids])
}

export function readWritten(output: Float32Array): WrittenTokens {
  const [ending = 0, ...ids] = output
  return { ending: endings[ending] ?? 'ended', ids }
}
