/**
 * Frees the buffers of passes that are over. Each tensor is a small object to V8, which collects late what looks small: up
 * to 32 MB of them were left lying. Knows no tensors.
 */
import { getHeapStatistics } from 'node:v8'

/** What two or three full batches leave behind. One sweep takes 0.5 ms, and saves more on fresh pages from the system. */
const sweepAtBytes = 1 << 20

/** Some outlive two sweeps, and are old to V8 then: a few in each batch, 0.4 MB a second under load. A full sweep takes 5 to 8 ms. */
const sweepAllAtBytes = 4 << 20

let leftBytes = 0
let leftByAllBytes = Number.POSITIVE_INFINITY

/** Sweeps when enough lies outside the heap. Without --expose-gc it does nothing. */
export function sweepBuffers(): void {
  if (globalThis.gc === undefined || outsideBytes() < leftBytes + sweepAtBytes) return
  globalThis.gc({ type: 'minor' })
  leftBytes = outsideBytes()
  leftByAllBytes = Math.min(leftByAllBytes, leftBytes)
  if (leftBytes < leftByAllBytes + sweepAllAtBytes) return
  globalThis.gc()
  leftBytes = outsideBytes()
  leftByAllBytes = leftBytes
}

function outsideBytes(): number {
  return getHeapStatistics().external_memory
}
