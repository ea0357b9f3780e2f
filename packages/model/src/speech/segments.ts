/**
 * What a window's tokens say, cut where its times say so, and where the next window begins: `_retrieve_segment` of
 * transformers 4.57 (generation_whisper.py). A window ends in the middle of something, so what was begun after its last
 * pair of times is heard again. Pure. Frames are counted from the recording's beginning.
 */
import { framesPerStep, type SpeechRule } from './speech-rule.js'

export interface Segment {
  /** In frames. */
  readonly start: number
  readonly end: number
  /** Times among them. */
  readonly ids: readonly number[]
}

export interface CutWindow {
  readonly segments: readonly Segment[]
  /** How much of the window is done with. */
  readonly frames: number
}

/**
 * @param ids without the end token
 * @param window the frame that it begins with, and how many frames of the recording it holds
 */
export function cutWindow(
  ids: readonly number[],
  window: { readonly start: number; readonly frames: number },
  { firstTimeId }: Pick<SpeechRule, 'firstTimeId'>,
): CutWindow {
  const isTime = (id: number | undefined) => id !== undefined && id >= firstTimeId
  const frameOf = (id: number | undefined) =>
    window.start + ((id ?? firstTimeId) - firstTimeId) * framesPerStep
  // Each the place between the two times of a pair.
  const cuts = ids.flatMap((id, place) => (place > 0 && isTime(id) && isTime(ids[place - 1]) ? [place] : []))
  const lastPair = cuts.at(-1)
  if (lastPair === undefined)
    return { segments: [whole(ids, window, isTime, frameOf)], frames: window.frames }
  const endsWithTime = isTime(ids.at(-1)) && !isTime(ids.at(-2))
  if (endsWithTime) cuts.push(ids.length)
  else cuts[cuts.length - 1] = lastPair + 1
  const segments = cuts.map((cut, i) => {
    const own = ids.slice(cuts[i - 1] ?? 0, cut)
    const last = i === cuts.length - 1 && !endsWithTime ? own.at(-2) : own.at(-1)
    return { start: frameOf(own[0]), end: frameOf(last), ids: own }
  })
  // Nothing was said after a single time at the end.
  const done = endsWithTime ? window.frames : frameOf(ids[lastPair - 1]) - window.start
  return { segments, frames: done }
}

/** The whole window is one segment, up to its last time where it has any but 0. */
function whole(
  ids: readonly number[],
  { start, frames }: { start: number; frames: number },
  isTime: (id: number) => boolean,
  frameOf: (id: number) => number,
): Segment {
  const last = ids.findLast(isTime)
  const end = last === undefined || frameOf(last) === start ? undefined : frameOf(last)
  return { start, end: end ?? start + Math.floor(frames / framesPerStep) * framesPerStep, ids }
}

/**
 * The numbers that the engine gives of a recording: why it ended (see written-tokens.ts), the language's token or -1, then
 * of each segment start, end, how many tokens, and the tokens. All fit a float32 exactly.
 */
export interface Heard {
  readonly ended: boolean
  readonly languageId: number
  readonly segments: readonly Segment[]
}

export function packHeard({ ended, languageId, segments }: Heard): Float32Array {
  const rows = segments.flatMap(({ start, end, ids }) => [start, end, ids.length, ...ids])
  return Float32Array.from([ended ? 1 : 0, languageId, ...rows])
}

export function readHeard(output: Float32Array): Heard {
  const [ended = 0, languageId = -1] = output
  const segments: Segment[] = []
  for (let at = 2; at < output.length; ) {
    const [start = 0, end = 0, count = 0] = output.subarray(at, at + 3)
    segments.push({ start, end, ids: [...output.subarray(at + 3, at + 3 + count)] })
    at += 3 + count
  }
  return { ended: ended === 1, languageId, segments }
}
