/** Scored tokens to entities, step by step as transformers' TokenClassificationPipeline makes them. Knows no model. */
import { type AggregationStrategy, type Entity, shortFloat, type TaggedToken } from '@millrace/contracts'
import type { TextPieces } from '@millrace/tokenizer'

/** A token of a text with a score (share of 1) for each label. */
export interface ScoredToken {
  /** Its place among all tokens, special ones counted. */
  readonly index: number
  readonly token: string
  readonly unknown: boolean
  /** In code points; both null where the tokenizer cannot tell. */
  readonly start: number | null
  readonly end: number | null
  readonly scores: Float32Array
}

interface Rules {
  /** The text itself. */
  readonly text: string
  readonly labels: readonly string[]
  readonly strategy: AggregationStrategy
  readonly join: TextPieces['join']
  /** Otherwise what no space is before goes on with a word. */
  readonly marksPieces: boolean
}

/** A token, or a word, with the label that it gets. */
interface Tagged {
  readonly entity: string
  readonly score: number
  readonly word: string
  readonly start: number | null
  readonly end: number | null
}

interface Piece extends ScoredToken {
  readonly word: string
  /** Goes on with the word before it. */
  readonly continues: boolean
}

/** What no entity is. */
const outside = 'O'

/** @returns entities in the order of the text; with `none` tokens, each with its index */
export function entitiesOf(tokens: readonly ScoredToken[], rules: Rules): Entity[] | TaggedToken[] {
  const { strategy, text, marksPieces } = rules
  const characters = [...text]
  const pieces = tokens.map((token) => pieceOf(token, characters, marksPieces))
  if (strategy === 'none') {
    const tagged = pieces.map((piece) => ({ ...tagOf(piece, piece.scores, rules), index: piece.index }))
    return tagged
      .filter(({ entity }) => entity !== outside)
      .map(({ entity, score, index, word, start, end }) => {
        return { entity, score: shortFloat(score), index, word, start, end }
      })
  }
  const tagged =
    strategy === 'simple'
      ? pieces.map((piece) => tagOf(piece, piece.scores, rules))
      : wordsOf(pieces).map((word) => taggedWord(word, strategy, rules))
  return groupsOf(tagged)
    .map((group) => entityOf(group, rules))
    .filter(({ entity_group }) => entity_group !== outside)
}

/** gather_pre_entities: a word piece that stands for more or other letters than its own goes on with a word. */
function pieceOf(token: ScoredToken, characters: readonly string[], marksPieces: boolean): Piece {
  if (token.start === null || token.end === null) return { ...token, word: token.token, continues: false }
  const written = characters.slice(token.start, token.end)
  if (token.unknown) return { ...token, word: written.join(''), continues: false }
  const continues = marksPieces
    ? [...token.token].length !== written.length
    : token.start > 0 && !characters.slice(token.start - 1, token.start + 1).includes(' ')
  return { ...token, word: token.token, continues }
}

/** The best label, the first of equals. */
function best(scores: Float32Array): { label: number; score: number } {
  let label = 0
  for (const [i, score] of scores.entries()) if (score > (scores[label] ?? 0)) label = i
  return { label, score: scores[label] ?? 0 }
}

function tagOf(
  { word, start, end }: Pick<Piece, 'word' | 'start' | 'end'>,
  scores: Float32Array,
  { labels }: Rules,
): Tagged {
  const { label, score } = best(scores)
  return { entity: labels[label] ?? '', score, word, start, end }
}

function wordsOf(pieces: readonly Piece[]): Piece[][] {
  const words: Piece[][] = []
  for (const piece of pieces) {
    const word = words.at(-1)
    if (word && piece.continues) word.push(piece)
    else words.push([piece])
  }
  return words
}

/** aggregate_word: the tokens of a word agree on one label. */
function taggedWord(pieces: readonly Piece[], strategy: 'first' | 'average' | 'max', rules: Rules): Tagged {
  const word = rules.join(pieces.map((piece) => piece.word))
  const place = { word, start: pieces[0]?.start ?? null, end: pieces.at(-1)?.end ?? null }
  const all = pieces.map(({ scores }) => scores)
  const [first = new Float32Array()] = all
  if (strategy === 'first') return tagOf(place, first, rules)
  if (strategy === 'average') {
    const mean = first.map(
      (_, label) => all.reduce((sum, scores) => sum + (scores[label] ?? 0), 0) / all.length,
    )
    return tagOf(place, mean, rules)
  }
  const surest = all.reduce((a, b) => (best(b).score > best(a).score ? b : a), first)
  return tagOf(place, surest, rules)
}

/** group_entities: neighbours of one kind are one entity, unless a `B-` begins another. */
function groupsOf(tagged: readonly Tagged[]): Tagged[][] {
  const groups: Tagged[][] = []
  for (const one of tagged) {
    const group = groups.at(-1)
    const last = group?.at(-1)
    const { begins, kind } = kindOf(one.entity)
    if (group && last && kind === kindOf(last.entity).kind && !begins) group.push(one)
    else groups.push([one])
  }
  return groups
}

function kindOf(entity: string): { begins: boolean; kind: string } {
  const marked = entity.startsWith('B-') || entity.startsWith('I-')
  return { begins: entity.startsWith('B-'), kind: marked ? entity.slice(2) : entity }
}

/** group_sub_entities; what stands before the first hyphen is no part of the name. */
function entityOf(group: readonly Tagged[], { join }: Rules): Entity {
  const name = group[0]?.entity ?? ''
  return {
    entity_group: name.includes('-') ? name.slice(name.indexOf('-') + 1) : name,
    score: shortFloat(Math.fround(group.reduce((sum, { score }) => sum + score, 0) / group.length)),
    word: join(group.map(({ word }) => word)),
    start: group[0]?.start ?? null,
    end: group.at(-1)?.end ?? null,
  }
}
