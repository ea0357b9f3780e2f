/**
 * What a task makes of a model's output: which engine runs it, by which rule, and what is told of it. All that differs
 * between tasks when a model is loaded is here.
 */
import { type ModelFacts, maxCandidates, type Task } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import { activationOf, labelsOf, readClassificationSettings } from './classification-settings.js'
import type { OutputRule } from './engine.js'
import { readSentenceSettings } from './sentence-settings.js'

/** The part of the facts that belongs to one task. */
type TaskFacts =
  | Pick<Extract<ModelFacts, { task: 'feature-extraction' }>, 'task' | 'dimensions'>
  | Pick<Extract<ModelFacts, { task: 'text-classification' }>, 'task' | 'labels' | 'multi_label'>
  | Pick<Extract<ModelFacts, { task: 'rerank' }>, 'task'>
  | Pick<Extract<ModelFacts, { task: 'fill-mask' }>, 'task' | 'mask_token'>

export interface ModelHead {
  readonly engine: 'transformers-embedding' | 'transformers-classification' | 'transformers-fill-mask'
  /** @throws Error when a model with this tokenizer cannot do this task */
  outputFor(tokenizer: Pick<TextTokenizer, 'mask'>): OutputRule
  /** A file beside the usual ones that decides answers, relative to the folder. */
  readonly poolingFile: string | undefined
  /** So many first values of a vector change with rounding by a little only, all by default; the self-test compares these. */
  readonly continuous?: (dimensions: number) => number
  /**
   * @param dimensions numbers per item that the loaded engine gives
   * @throws Error when a model with that many cannot do this task
   */
  factsOf(dimensions: number, tokenizer: Pick<TextTokenizer, 'mask'>): TaskFacts
}

/** @throws Error naming the file that is broken or asks for something that is not supported */
export async function readHead(dir: string, task: Task): Promise<ModelHead> {
  switch (task) {
    case 'feature-extraction':
      return embeddingHead(dir)
    case 'text-classification':
      return classificationHead(dir)
    case 'rerank':
      return rerankHead(dir)
    case 'fill-mask':
      return maskHead(dir)
  }
}

async function embeddingHead(dir: string): Promise<ModelHead> {
  const { pooling, poolingFile } = await readSentenceSettings(dir)
  return {
    engine: 'transformers-embedding',
    outputFor: () => ({ kind: 'pooled', pooling }),
    poolingFile,
    factsOf: (dimensions) => ({ task: 'feature-extraction', dimensions }),
  }
}

async function classificationHead(dir: string): Promise<ModelHead> {
  const settings = await readClassificationSettings(dir)
  const activation = activationOf(settings)
  return {
    engine: 'transformers-classification',
    outputFor: () => ({ kind: 'scores', activation }),
    poolingFile: undefined,
    factsOf: (dimensions) => ({
      task: 'text-classification',
      labels: labelsOf(settings, dimensions, dir),
      multi_label: activation !== 'softmax',
    }),
  }
}

/** The logit itself is the result: a sigmoid can be put on it at any time, and cannot be taken off again. */
function rerankHead(dir: string): ModelHead {
  return {
    engine: 'transformers-classification',
    outputFor: () => ({ kind: 'scores', activation: 'none' }),
    poolingFile: undefined,
    factsOf: (dimensions) => {
      if (dimensions === 1) return { task: 'rerank' }
      throw new Error(`The model in ${dir} gives ${dimensions} scores per pair; a rerank model gives one`)
    },
  }
}

function maskHead(dir: string): ModelHead {
  const maskOf = ({ mask }: Pick<TextTokenizer, 'mask'>) => {
    if (mask === undefined) throw new Error(`The tokenizer of ${dir} has no mask token`)
    return mask
  }
  return {
    engine: 'transformers-fill-mask',
    outputFor: (tokenizer) => ({
      kind: 'candidates',
      maskTokenId: maskOf(tokenizer).id,
      most: maxCandidates,
    }),
    poolingFile: undefined,
    // Two candidates that are nearly alike may change places by rounding; the scores in their order do not jump.
    continuous: (dimensions) => dimensions / 2,
    factsOf: (_, tokenizer) => ({ task: 'fill-mask', mask_token: maskOf(tokenizer).text }),
  }
}
