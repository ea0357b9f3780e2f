/** automatic-speech-recognition by a Whisper model: what is said is written, in one of many languages, with its times. */
import { MillraceError, type Transcript } from '@millrace/contracts'
import { loadTextTokenizer, type TextTokenizer } from '@millrace/tokenizer'
import { generationFile } from '../generation/generation-settings.js'
import { readHeard, type Segment } from '../speech/segments.js'
import { frameS, type SpeechRule } from '../speech/speech-rule.js'
import { readSpeechSettings } from '../speech/speech-settings.js'
import type { Follower, ModelTask } from './model-task.js'
import { soundInputs, soundItem } from './sound-inputs.js'

const task = 'automatic-speech-recognition'

export async function openSpokenText(dir: string): Promise<ModelTask> {
  const rule = await readSpeechSettings(dir)
  const tokenizer = await loadTextTokenizer(dir, task)
  const languages = Object.keys(rule.languages)
  const spoken = new SpokenText(tokenizer, rule)
  return {
    engine: 'whisper',
    output: rule,
    files: [generationFile, 'tokenizer.json'],
    ...soundInputs(rule.rate),
    encode(input) {
      refuseWishes(input.params?.language, input.params?.translate === true, rule)
      return soundItem(input)
    },
    loaded: () => ({
      facts: { task, sampling_rate: rule.rate, ...(languages.length === 0 ? {} : { languages }) },
      resultOf(output, _item, { params }) {
        const { ended, languageId, segments } = readHeard(output)
        const language = languages.find((code) => rule.languages[code] === languageId)
        const value: Transcript = {
          text: spoken.textOf(segments.flatMap(({ ids }) => ids)),
          ...(language === undefined ? {} : { language }),
          ...(params?.return_timestamps === true
            ? { chunks: segments.map((one) => spoken.chunkOf(one)) }
            : {}),
        }
        return { kind: 'value', value, ...(ended ? { partial: true } : {}) }
      },
      follow: () => spoken.follower(),
    }),
  }
}

/** @throws MillraceError invalid_input for what this model does not know */
function refuseWishes(language: unknown, translate: boolean, { languages, translateId }: SpeechRule): void {
  if (typeof language === 'string' && languages[language] === undefined) {
    const known = Object.keys(languages)
    const detail = known.length === 0 ? 'knows one language' : `knows ${known.join(', ')}`
    throw new MillraceError('invalid_input', `options.language is '${language}'; this model ${detail}`)
  }
  if (translate && translateId === null) {
    throw new MillraceError('invalid_input', 'options.translate: this model cannot translate')
  }
}

/** Tokens of a recording as what a client reads. */
class SpokenText {
  readonly #tokenizer: Pick<TextTokenizer, 'decode'>
  readonly #firstTimeId: number

  constructor(tokenizer: Pick<TextTokenizer, 'decode'>, { firstTimeId }: SpeechRule) {
    this.#tokenizer = tokenizer
    this.#firstTimeId = firstTimeId
  }

  /** Without the times. */
  textOf(ids: readonly number[]): string {
    const words = ids.filter((id) => id < this.#firstTimeId)
    return words.length === 0 ? '' : this.#tokenizer.decode(words, { special: false, verbatim: true })
  }

  chunkOf({ start, end, ids }: Segment): NonNullable<Transcript['chunks']>[number] {
    return { timestamp: [secondsOf(start), secondsOf(end)], text: this.textOf(ids) }
  }

  /** What is heard comes in whole segments, which nothing changes any more but a character that two of them share. */
  follower(): Follower {
    const ids: number[] = []
    return {
      tokens: (at, more) => {
        ids.splice(at, ids.length, ...more)
        return { text: this.textOf(ids).replace(/\ufffd+$/, ''), ended: false }
      },
    }
  }
}

function secondsOf(frames: number): number {
  return Math.round(frames * frameS * 100) / 100
}
