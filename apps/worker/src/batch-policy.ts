/**
 * How a model's batches are cut: as set, else as measured, else as is usual on its device. Says so in one line. Decides
 * before the worker takes its first chunk; what a batch holds then is the batcher's matter.
 */
import type { BatcherLimits } from '@millrace/batching'
import type { BatchPolicy } from '@millrace/contracts'
import { type LoadedModel, type MeasuredBatches, measureBatches } from '@millrace/model'

export interface BatchSettings {
  /** Absent: 256 on the CPU, `auto` elsewhere. */
  tokens?: number | 'auto' | undefined
  /** Absent: 32 on the CPU, 1024 elsewhere. */
  items?: number | undefined
  dataDir: string
  threads: number
}

export interface BatchDecision {
  limits: BatcherLimits
  policy: BatchPolicy
  /** For a person, in one line. */
  says: string
}

/**
 * Measured with the starter model on one thread: throughput is within a few percent of the best from 64 to 512 tokens,
 * so nothing is gained by measuring on each CPU. Of GPUs we have no figure: there it is measured unless it is set.
 */
const usual = {
  cpu: { tokens: 256, items: 32, upTo: 1024 },
  gpu: { tokens: 8192, items: 1024, upTo: 32_768 },
}

/** How many waiting items are looked through for neighbours of like length: a few batches of the usual size. */
const lookahead = 64

/**
 * At the knee of throughput a pass costs beside its tokens what 3 % of them cost: that is how the knee is found. A
 * neighbour may add so much padding. On the CPU the batcher's own figure, which was measured, holds.
 */
const passShare = 0.03

export async function batchPolicy(
  model: LoadedModel,
  settings: BatchSettings,
  measure: typeof measureBatches = measureBatches,
): Promise<BatchDecision> {
  const onCpu = (model.facts.device ?? 'cpu') === 'cpu'
  const defaults = onCpu ? usual.cpu : usual.gpu
  const items = settings.items ?? defaults.items
  const maxItems = Math.min(items, model.maxBatchItems ?? items)
  const wanted = settings.tokens ?? (onCpu ? defaults.tokens : 'auto')
  const decide = (area: number, found: BatchPolicy['found'], how: string, measured?: MeasuredBatches) => {
    const tokensPerS = measured?.tokensPerS ?? null
    return {
      limits: {
        maxArea: area,
        maxItems,
        lookahead: Math.max(lookahead, 2 * maxItems),
        ...(onCpu ? {} : { passTokens: Math.round(passShare * area) }),
      },
      policy: { max_padded_tokens: area, max_items: maxItems, found, tokens_per_s: tokensPerS },
      says: `${sizeWords(area, maxItems)} (${how})`,
    }
  }
  if (model.maxBatchItems === 1) return decide(defaults.tokens, 'usual', 'company would change its answers')
  if (maxItems === 1) return decide(defaults.tokens, 'set', 'as set')
  if (wanted !== 'auto') {
    const set = settings.tokens !== undefined
    return decide(wanted, set ? 'set' : 'usual', set ? 'as set' : 'as is usual on the CPU')
  }
  try {
    const { dataDir, threads } = settings
    const measured = await measure(model, { dataDir, threads, maxItems, maxArea: defaults.upTo })
    const when = measured.kept ? 'at an earlier start on this machine' : 'just now'
    const speed = `${measured.tokensPerS.toLocaleString('en-US')} tokens/s in one model process`
    return decide(measured.area, measured.kept ? 'kept' : 'measured', `${speed}, measured ${when}`, measured)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return decide(defaults.tokens, 'unmeasured', `the usual size, as it could not be measured: ${why}`)
  }
}

function sizeWords(area: number, items: number): string {
  if (items === 1) return 'runs one item at a time'
  return `batches of up to ${area.toLocaleString('en-US')} padded tokens and ${items} items`
}
