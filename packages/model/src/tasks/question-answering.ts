/**
 * question-answering: an answer found in a context. What is too long for one sequence is read in overlapping parts, each
 * with the question; an item then has several sequences.
 */
import { type Answer, MillraceError, type Params } from '@millrace/contracts'
import { loadTextTokenizer, readPair, type TokenSpans, writePair } from '@millrace/tokenizer'
import type { EncodedItem, Sequence } from '../engine.js'
import { type AnswerRules, answersOf } from './answers.js'
import type { ModelInput, ModelTask } from './model-task.js'

/** transformers' QuestionAnsweringPipeline: `max_seq_len` and `doc_stride` where none are given. */
const mostPartTokens = 384
const mostOverlap = 128

interface Part {
  readonly from: number
  readonly to: number
  readonly sequence: Sequence
}

interface Read {
  readonly context: string
  readonly spans: TokenSpans
  readonly parts: readonly Part[]
  /** Where the context begins in each part. */
  readonly at: number
}

/** @throws Error for a tokenizer that cannot tell the places of its tokens */
export async function openQuestionAnswering(dir: string): Promise<ModelTask> {
  const tokenizer = await loadTextTokenizer(dir, 'question-answering')
  const { spansOf, pairSpecials, idsOf, frame } = tokenizer.pieces
  if (spansOf === undefined || pairSpecials === undefined) {
    throw new Error(
      `The tokenizer of ${dir} does not tell where in a text its tokens stand: answers can be found with word pieces and byte-level BPE only`,
    )
  }
  const { before, between, after } = pairSpecials
  const partTokens = Math.min(tokenizer.maxTokens, mostPartTokens)
  const overlap = Math.min(Math.floor(partTokens / 2), mostOverlap)

  /** @throws MillraceError */
  const read = ({ input, truncate }: ModelInput): Read => {
    const { first, second: context } = readPair(input)
    const spans = spansOf(context)
    if (spans === undefined) {
      throw new MillraceError('invalid_input', 'The places of the tokens in this context cannot be told')
    }
    const whole = idsOf(first)
    const room = partTokens - before - between - after
    const fits = whole.length + spans.ids.length <= room
    // A part must hold more of the context than it shares with the one before it.
    const most = room - overlap - 1
    if (!fits && whole.length > most && !truncate) {
      const detail = `The question has ${whole.length} tokens; beside this context the model takes at most ${most}`
      throw new MillraceError('input_too_long', detail)
    }
    const question = fits ? whole : whole.slice(0, most)
    const parts = cut(spans.ids.length, room - question.length, overlap).map(([from, to]) => {
      return { from, to, sequence: frame(question, spans.ids.slice(from, to)) }
    })
    return { context, spans, parts, at: before + question.length + between }
  }
  /** What was read when an item was encoded, until its result is made. */
  const known = new WeakMap<EncodedItem, Read>()

  return {
    tokenizer,
    engine: 'transformers-logits',
    output: { kind: 'logits', of: 'ends' },
    files: [],
    probe: (text) => ({ input: writePair({ first: 'What turns the wheel?', second: text }), truncate: true }),
    encode: (input) => {
      const found = read(input)
      const [first = frame([], []), ...more] = found.parts.map(({ sequence }) => sequence)
      const cost = found.parts.reduce((sum, { sequence }) => sum + sequence.ids.length, 0)
      const item = more.length === 0 ? first : { ...first, cost, extra: { more } }
      known.set(item, found)
      return item
    },
    loaded: () => ({
      facts: { task: 'question-answering', part_tokens: partTokens },
      resultOf: (logits, item, input) => {
        const { context, spans, parts, at } = known.get(item) ?? read(input)
        let place = 0
        const take = (length: number) => {
          place += length
          return logits.subarray(place - length, place)
        }
        const scored = parts.map(({ from, to, sequence: { ids } }) => {
          return { from, to, at, starts: take(ids.length), ends: take(ids.length) }
        })
        const rules = rulesOf(input.params)
        const answers = answersOf(scored, context, spans, rules)
        return { kind: 'value', value: rules.topK > 1 ? answers : (answers[0] ?? none) }
      },
    }),
  }
}

const none: Answer = { score: 0, start: 0, end: 0, answer: '' }

function rulesOf(params: Params = {}): AnswerRules {
  const { top_k: topK, max_answer_len: maxTokens, handle_impossible_answer: maybeNone } = params
  return {
    topK: typeof topK === 'number' ? topK : 1,
    maxTokens: typeof maxTokens === 'number' ? maxTokens : 15,
    maybeNone: maybeNone === true,
  }
}

/** Overlapping ranges as huggingface/tokenizers' Encoding.truncate makes them: none begins behind one that reaches the end. */
function cut(length: number, size: number, overlap: number): [number, number][] {
  if (length <= size) return [[0, length]]
  const ranges: [number, number][] = []
  for (let from = 0, to = 0; to < length; from += size - overlap) {
    to = Math.min(from + size, length)
    ranges.push([from, to])
  }
  return ranges
}
