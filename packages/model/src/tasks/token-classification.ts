/** token-classification: the entities of a text, from a score of every label for each of its tokens. */
import {
  type AggregationStrategy,
  aggregationStrategies,
  MillraceError,
  type Params,
} from '@millrace/contracts'
import { loadTextTokenizer, type TextPieces } from '@millrace/tokenizer'
import { activate } from '../activation.js'
import { labelsOf, readClassificationSettings } from '../classification-settings.js'
import { entitiesOf, type ScoredToken } from './entities.js'
import { type ModelTask, textInputs } from './model-task.js'

export async function openTokenClassification(dir: string): Promise<ModelTask> {
  const [tokenizer, settings] = await Promise.all([
    loadTextTokenizer(dir, 'token-classification'),
    readClassificationSettings(dir),
  ])
  // Two is transformers' own default where config.json names none.
  const labels = labelsOf(settings, settings.labels?.length ?? 2, dir)
  const places = tokenizer.pieces.spansOf !== undefined
  return {
    ...textInputs(tokenizer),
    engine: 'transformers-logits',
    output: { kind: 'logits', of: 'tokens' },
    files: [],
    encode: ({ input, truncate, params }) => {
      if (!places && ['first', 'average', 'max'].includes(strategyOf(params))) {
        const detail = `this model's tokenizer knows no words: ask for 'simple' or 'none', not '${strategyOf(params)}'`
        throw new MillraceError('invalid_input', detail)
      }
      return tokenizer.encode(input, { truncate })
    },
    loaded: () => ({
      facts: { task: 'token-classification', labels, places },
      resultOf: (logits, { ids }, { input, params }) => {
        if (logits.length !== ids.length * labels.length) {
          throw new Error(
            `${dir}/config.json names ${labels.length} labels; the model gives another number of scores`,
          )
        }
        const tokens = scoredTokens(input, ids, logits, tokenizer.pieces)
        const value = entitiesOf(tokens, {
          text: input,
          labels,
          strategy: strategyOf(params),
          join: tokenizer.pieces.join,
          marksPieces: tokenizer.pieces.marksPieces,
        })
        return { kind: 'value', value }
      },
    }),
  }
}

function strategyOf(params: Params | undefined): AggregationStrategy {
  return aggregationStrategies.find((one) => one === params?.aggregation_strategy) ?? 'simple'
}

/** The tokens of the text itself; those that the tokenizer puts around it are no one's name. */
function scoredTokens(
  text: string,
  ids: Int32Array,
  logits: Float32Array,
  { specials, spansOf, tokenOf, unknownId }: TextPieces,
): ScoredToken[] {
  const labels = logits.length / ids.length
  const content = ids.length - specials.all
  const spans = spansOf?.(text)
  const same = spans?.ids.slice(0, content).every((id, i) => id === ids[specials.before + i])
  return Array.from({ length: content }, (_, i) => {
    const index = specials.before + i
    return {
      index,
      token: tokenOf(ids[index] ?? -1) ?? '',
      unknown: ids[index] === unknownId,
      start: same ? (spans?.starts[i] ?? null) : null,
      end: same ? (spans?.ends[i] ?? null) : null,
      scores: activate(logits.subarray(index * labels, (index + 1) * labels), 'softmax'),
    }
  })
}
