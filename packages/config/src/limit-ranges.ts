/** What a limit may be, least and most: the same for the environment's setting and for a model's own in millrace.json. */
export const limitRanges = {
  batchTokens: [1, 1 << 20],
  batchItems: [1, 4096],
  batchTimeoutMs: [100, 3_600_000],
  processes: [1, 64],
  threads: [1, 256],
  maxItems: [1, 65536],
  maxChars: [1, 1 << 24],
} as const satisfies Record<string, readonly [number, number]>
