/** What a Whisper model's own files say of listening with it. Plain data: it crosses a process border. */

export interface SpeechRule {
  readonly kind: 'spoken'
  /** Samples per second. */
  readonly rate: number
  /** What its encoder gets at once, in frames of `hop` samples. */
  readonly windowFrames: number
  readonly hop: number
  /** Most tokens that its decoder holds. */
  readonly context: number
  /** Most tokens of a window, the prompt's first one included. */
  readonly maxLength: number
  readonly startId: number
  readonly endIds: readonly number[]
  /** Token of each language that it knows, by its code; none where it knows one alone. */
  readonly languages: Readonly<Record<string, number>>
  /** Null where the model can do nothing else. */
  readonly transcribeId: number | null
  readonly translateId: number | null
  readonly noTimestampsId: number
  /** Of the time 0; each that follows is `timeStepS` later. */
  readonly firstTimeId: number
  /** The latest that a window may begin with, in steps. */
  readonly maxFirstTime: number | null
  readonly suppressedIds: readonly number[]
  readonly firstSuppressedIds: readonly number[]
}

/** What a client asks for. */
export interface SpeechWishes {
  /** A code of `languages`; absent: what is heard. */
  readonly language?: string
  readonly translate: boolean
  readonly timestamps: boolean
}

/** Frames of one step of time: the encoder's convolutions halve the frames (Whisper, section 2.2). */
export const framesPerStep = 2
/** Of one frame, as transformers has it (generation_whisper.py, time_precision_features). */
export const frameS = 0.01
