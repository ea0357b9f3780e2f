/**
 * Resizing as Pillow does it, to the bit (Pillow 13, src/libImaging/Resample.c, 8 bits per channel): what image models
 * were trained and are compared with. transformers.js samples without a filter, so that a photograph that is made small
 * looks different to a model here and in Python. Knows pixels only.
 */

/** Filters by their number in preprocessor_config.json (PIL.Image.Resampling); 0, nearest, is not one of them. */
const filters: Readonly<Record<number, { support: number; at: (x: number) => number }>> = {
  1: { support: 3, at: lanczos },
  2: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  3: { support: 2, at: bicubic },
  4: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  5: { support: 1, at: hamming },
}

/** Coefficients are integers of so many bits, so that a sum of products has room for eight more. */
const precisionBits = 22

export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
  readonly channels: number
}

/** @returns undefined for a filter that Pillow's resampling does not have */
export function pillowResize(
  from: Pixels,
  width: number,
  height: number,
  filter: number,
): Pixels | undefined {
  if (filters[filter] === undefined) return undefined
  const wide = from.width === width ? from : resizeRows(from, width, filter)
  return wide.height === height ? wide : resizeColumns(wide, height, filter)
}

function resizeRows(
  { data, width: before, height, channels }: Pixels,
  width: number,
  filter: number,
): Pixels {
  const windows = windowsOf(before, width, filter)
  const out = new Uint8Array(width * height * channels)
  for (let y = 0, to = 0; y < height; y++) {
    const row = y * before * channels
    for (const { first, weights } of windows) {
      for (let channel = 0; channel < channels; channel++, to++) {
        let sum = 2 ** (precisionBits - 1)
        let at = row + first * channels + channel
        for (const weight of weights) {
          sum += weight * (data[at] ?? 0)
          at += channels
        }
        out[to] = clip(sum)
      }
    }
  }
  return { data: out, width, height, channels }
}

function resizeColumns(
  { data, width, height: before, channels }: Pixels,
  height: number,
  filter: number,
): Pixels {
  const stride = width * channels
  const out = new Uint8Array(height * stride)
  for (const [y, { first, weights }] of windowsOf(before, height, filter).entries()) {
    for (let x = 0; x < stride; x++) {
      let sum = 2 ** (precisionBits - 1)
      let at = first * stride + x
      for (const weight of weights) {
        sum += weight * (data[at] ?? 0)
        at += stride
      }
      out[y * stride + x] = clip(sum)
    }
  }
  return { data: out, width, height, channels }
}

interface Window {
  readonly first: number
  readonly weights: readonly number[]
}

/** Which pixels make one of the new ones, and how much of each: precompute_coeffs and normalize_coeffs_8bpc. */
function windowsOf(before: number, after: number, filter: number): Window[] {
  const { support, at } = filters[filter] ?? { support: 1, at: () => 1 }
  const scale = before / after
  const filterScale = Math.max(scale, 1)
  const reach = support * filterScale
  return Array.from({ length: after }, (_, place) => {
    const center = (place + 0.5) * scale
    const first = Math.max(0, Math.trunc(center - reach + 0.5))
    const end = Math.min(before, Math.trunc(center + reach + 0.5))
    const shares = Array.from({ length: end - first }, (_, x) => at((x + first - center + 0.5) / filterScale))
    const total = shares.reduce((sum, share) => sum + share, 0)
    const weights = shares.map((share) => {
      const scaled = (total === 0 ? share : share / total) * 2 ** precisionBits
      return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5)
    })
    return { first, weights }
  })
}

function clip(sum: number): number {
  return Math.min(255, Math.max(0, Math.floor(sum / 2 ** precisionBits)))
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI)
}

function lanczos(x: number): number {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0
}

/** Keys' cubic with a = -0.5. */
function bicubic(x: number): number {
  const a = -0.5
  const size = Math.abs(x)
  if (size < 1) return ((a + 2) * size - (a + 3)) * size * size + 1
  return size < 2 ? (((size - 5) * size + 8) * size - 4) * a : 0
}

function hamming(x: number): number {
  const size = Math.abs(x)
  if (size === 0) return 1
  return size < 1 ? sinc(size) * (0.54 + 0.46 * Math.cos(size * Math.PI)) : 0
}
