/**
 * The model process: holds the weights, runs the forward pass, nothing else. Forked by model-process.ts, which tells
 * it what to load and when to stop. It must not know of Redis, jobs or HTTP.
 */
import { pathToFileURL } from 'node:url'
import type { CreateEngine, Engine, EngineFacts, RunHooks } from './engine.js'
import { InputRefused } from './input-refused.js'
import {
  type FromModelProcess,
  packVectors,
  type ToModelProcess,
  unpackItems,
} from './model-process-messages.js'
import { privateBytes } from './private-memory.js'
import { sweepBuffers } from './sweep-buffers.js'

let engine: Engine | undefined
let facts: EngineFacts | undefined

// Ctrl-C and a service manager's SIGTERM reach the whole group; the parent decides when this process stops.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
// Without its parent it has no purpose. The kernel frees what is held.
process.on('disconnect', () => process.exit(0))

// One message after another, each answered in full before the next begins: a forward pass blocks this thread, and an
// answer still in the socket's queue would wait for it.
let previous: Promise<void> = Promise.resolve()
/** Of batches that are not answered yet. */
const endings = new Map<number, AbortController>()
process.on('message', (message: ToModelProcess) => {
  // Not after what runs, which it is to end.
  if (message.type === 'end') return endings.get(message.batchId)?.abort()
  if (message.type === 'run') endings.set(message.batchId, new AbortController())
  previous = previous.then(() => handle(message)).catch(fail)
})

async function handle(message: Exclude<ToModelProcess, { type: 'end' }>): Promise<void> {
  switch (message.type) {
    case 'load':
      return await answer(await load(message.engineModule, message))
    case 'run':
      await answer(await run(message))
      // The answer is on its way already.
      return sweepBuffers()
    case 'stop':
      await engine?.close()
      process.exit(0)
  }
}

async function load(
  engineModule: string,
  { spec }: Extract<ToModelProcess, { type: 'load' }>,
): Promise<FromModelProcess> {
  const started = performance.now()
  const before = await privateBytes()
  try {
    const url = engineModule.startsWith('file:') ? engineModule : pathToFileURL(engineModule).href
    const module: { createEngine: CreateEngine } = await import(url)
    engine = module.createEngine(spec)
    facts = await engine.load()
    // Loading leaves much garbage behind; without --expose-gc this line does nothing.
    globalThis.gc?.()
    const loadMs = performance.now() - started
    const after = await privateBytes()
    const privateGrowthBytes = before === null || after === null ? null : after - before
    return { type: 'loaded', facts, loadMs, privateGrowthBytes }
  } catch (error) {
    return { type: 'load-failed', message: describe(error) }
  }
}

async function run(message: Extract<ToModelProcess, { type: 'run' }>): Promise<FromModelProcess> {
  const { batchId, lengths } = message
  try {
    if (engine === undefined || facts === undefined) throw new Error('no model is loaded')
    const started = performance.now()
    const vectors = await engine.run(unpackItems(message), hooksOf(batchId))
    const predictMs = performance.now() - started
    if (vectors.length !== lengths.length)
      throw new Error(`${vectors.length} vectors for ${lengths.length} items`)
    return { type: 'result', batchId, ...packVectors(vectors, facts.dimensions), predictMs }
  } catch (error) {
    const refused = error instanceof InputRefused && { code: error.code, detail: error.message }
    return { type: 'batch-failed', batchId, message: describe(error), ...(refused ? { refused } : {}) }
  } finally {
    endings.delete(batchId)
  }
}

function hooksOf(batchId: number): RunHooks {
  const signal = endings.get(batchId)?.signal
  return {
    ...(signal === undefined ? {} : { signal }),
    // Not waited for: the engine lets the event loop turn between two tokens.
    onTokens: (place, at, ids) => void process.send?.({ type: 'tokens', batchId, place, at, ids }, () => {}),
  }
}

function answer(message: FromModelProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)))
  })
}

function fail(error: unknown): never {
  process.stderr.write(`${describe(error)}\n`)
  process.exit(1)
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
