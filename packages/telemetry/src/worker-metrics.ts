/** Owns: what only a worker counts: batches, inference, model processes, settled jobs, chunks given back. */
import { Counter, Histogram } from 'prom-client'
import { type MetricsRegistry, type SharedMetrics, sharedMetrics } from './metrics.js'

export interface BatchRun {
  model: string
  items: number
  /** Real tokens of all items, and longest x count. */
  realTokens: number
  paddedTokens: number
  /** The forward pass alone. */
  seconds: number
}

export interface WorkerMetrics extends SharedMetrics {
  batch(run: BatchRun): void
  /** Why the process before had ended: `crash`, `timeout`. */
  modelProcessRestarted(model: string, reason: string): void
  jobSettled(model: string, status: string): void
  chunksGivenBack(model: string, count: number): void
}

/** Makes each metric once: call it once per registry. */
export function workerMetrics(registry: MetricsRegistry): WorkerMetrics {
  const registers = [registry]
  const items = new Histogram({
    name: 'millrace_batch_items',
    help: 'Items that shared one forward pass',
    labelNames: ['model'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers,
  })
  const real = new Counter({
    name: 'millrace_batch_real_tokens_total',
    help: 'Tokens of the items that were run',
    labelNames: ['model'],
    registers,
  })
  const padded = new Counter({
    name: 'millrace_batch_padded_tokens_total',
    help: 'Tokens computed, padding included. Padding ratio: rate of this / rate of millrace_batch_real_tokens_total',
    labelNames: ['model'],
    registers,
  })
  const inference = new Histogram({
    name: 'millrace_inference_seconds',
    help: 'One forward pass, as the model process measured it',
    labelNames: ['model'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const restarts = new Counter({
    name: 'millrace_model_process_restarts_total',
    help: 'Model processes started anew, by why the one before ended',
    labelNames: ['model', 'reason'],
    registers,
  })
  const settled = new Counter({
    name: 'millrace_jobs_settled_total',
    help: 'Jobs whose terminal status this worker wrote',
    labelNames: ['model', 'status'],
    registers,
  })
  const givenBack = new Counter({
    name: 'millrace_chunks_given_back_total',
    help: 'Chunks returned to the queue by a stopping worker',
    labelNames: ['model'],
    registers,
  })
  return {
    ...sharedMetrics(registry),
    batch(run) {
      const { model } = run
      items.observe({ model }, run.items)
      real.inc({ model }, run.realTokens)
      padded.inc({ model }, run.paddedTokens)
      inference.observe({ model }, run.seconds)
    },
    modelProcessRestarted: (model, reason) => restarts.inc({ model, reason }),
    jobSettled: (model, status) => settled.inc({ model, status }),
    chunksGivenBack: (model, count) => givenBack.inc({ model }, count),
  }
}
