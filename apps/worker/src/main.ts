/** The worker's entry: the heap is set before anything else is loaded, as a module's imports all load before its first line. */
import './small-heap.js'

await import('./serve.js')
