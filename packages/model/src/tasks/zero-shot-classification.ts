/**
 * zero-shot-classification: does it follow from a text that a label fits? One sequence for each label, all of an item together,
 * by the rules of transformers' ZeroShotClassificationPipeline.
 */
import {
  type LabelScores,
  MillraceError,
  type Params,
  shortFloat,
  zeroShotClassification,
} from '@millrace/contracts'
import { loadTextTokenizer } from '@millrace/tokenizer'
import { activate } from '../activation.js'
import {
  type ClassificationSettings,
  labelsOf,
  readClassificationSettings,
} from '../classification-settings.js'
import type { ModelInput, ModelTask } from './model-task.js'

/** @throws Error for a model that names no entailment */
export async function openZeroShotClassification(dir: string): Promise<ModelTask> {
  const [tokenizer, settings] = await Promise.all([
    loadTextTokenizer(dir, 'zero-shot-classification'),
    readClassificationSettings(dir),
  ])
  const { idsOf, frame } = tokenizer.pieces
  const specials = frame([], []).ids.length
  const labels = labelsOf(settings, settings.labels?.length ?? 2, dir)
  const { entailment, contradiction } = judges(settings, labels.length, dir)

  /** The items of a chunk share their params, and so the ids of what is asked of each label. */
  const known = new WeakMap<Params, number[][]>()
  const hypothesesOf = (params: Params): number[][] => {
    const found =
      known.get(params) ??
      candidatesOf(params).map((label) => idsOf(templateOf(params).replace('{}', () => label)))
    known.set(params, found)
    return found
  }
  const sequencesOf = ({ input, truncate, params = {} }: ModelInput) => {
    const text = idsOf(input)
    return hypothesesOf(params).map((hypothesis, i) => {
      const room = tokenizer.maxTokens - specials - hypothesis.length
      if (room >= 1 && (truncate || text.length <= room)) return frame(text.slice(0, room), hypothesis)
      const tokens = specials + hypothesis.length + (room < 1 ? 0 : text.length)
      const what = room < 1 ? 'alone has' : 'and the text together have'
      const detail = `Label ${i + 1} in its template ${what} ${tokens} tokens; this model takes at most ${tokenizer.maxTokens}`
      throw new MillraceError('input_too_long', detail)
    })
  }

  return {
    tokenizer,
    engine: 'transformers-logits',
    output: { kind: 'logits', of: 'sequence' },
    files: [],
    probe: (text) => ({
      input: text,
      truncate: true,
      params: { candidate_labels: ['a mill', 'a password'] },
    }),
    encode: (input) => {
      const [first, ...more] = sequencesOf(input)
      if (first === undefined) throw new MillraceError('invalid_input', 'There is no label to score')
      const cost = more.reduce((sum, { ids }) => sum + ids.length, first.ids.length)
      return more.length === 0 ? first : { ...first, cost, extra: { more } }
    },
    loaded: () => ({
      facts: { task: 'zero-shot-classification', entailment_label: labels[entailment] ?? '' },
      resultOf: (logits, _item, { params = {} }) => {
        const candidates = candidatesOf(params)
        if (logits.length !== candidates.length * labels.length) {
          throw new Error(
            `${dir}/config.json names ${labels.length} labels; the model gives another number of scores`,
          )
        }
        const of = (row: number, place: number) => logits[row * labels.length + place] ?? Number.NaN
        const alone = params.multi_label === true || candidates.length === 1
        const scores = alone
          ? candidates.map((_, row) => shares([of(row, contradiction), of(row, entailment)])[1] ?? 0)
          : shares(candidates.map((_, row) => of(row, entailment)))
        return { kind: 'value', value: ranked(candidates, scores) }
      },
    }),
  }
}

/**
 * The logits that speak for and against a label. The pipeline takes the last logit for entailment where none is named so, with
 * a warning that nobody of a fleet would read.
 */
function judges({ places, labels = [] }: ClassificationSettings, count: number, dir: string) {
  const named = places.length > 0 ? places : labels.map((label, place) => [label, place] as const)
  const entailment = named.find(([label]) => label.toLowerCase().startsWith('entail'))?.[1]
  if (entailment === undefined || entailment >= count) {
    throw new Error(
      `${dir}/config.json names no label 'entailment': the model is none for zero-shot-classification`,
    )
  }
  return { entailment, contradiction: entailment === 0 ? count - 1 : 0 }
}

function shares(logits: readonly number[]): number[] {
  return [...activate(Float32Array.from(logits), 'softmax')]
}

function ranked(labels: readonly string[], scores: readonly number[]): LabelScores {
  const order = labels.map((_, i) => i).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0))
  return { labels: order.map((i) => labels[i] ?? ''), scores: order.map((i) => shortFloat(scores[i] ?? 0)) }
}

function candidatesOf({ candidate_labels: labels }: Params): readonly string[] {
  return Array.isArray(labels) ? labels : []
}

function templateOf({ hypothesis_template: template }: Params): string {
  return typeof template === 'string' ? template : zeroShotClassification.params.hypothesis_template
}
