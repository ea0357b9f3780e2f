/**
 * How V8 grows the heap of a worker's main process, which holds little and for a short time. V8's defaults suit a
 * machine of one's own: a young generation of up to 48 MB (96 MB in Node 24), and an old one of several times what is alive.
 * Takes no settings, knows nothing of workers.
 */
import { setFlagsFromString } from 'node:v8'

// A launcher says how large the young generation may become (`--max-semi-space-size=2`), as nobody can from inside. Where none
// did, it stays as large as it begins, twice 1 MB.
const isLimited = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((options) =>
  options.includes('--max-semi-space-size'),
)
if (!isLimited) setFlagsFromString('--semi-space-growth-factor=1')
// The old one is collected when it has grown by this share of what was alive.
setFlagsFromString('--heap-growing-percent=70')
// And moved together each time: the holes that old objects leave are given back, not kept for others.
setFlagsFromString('--compact-on-every-full-gc')
