/** How far a run is, how fast, and how long it will take. Pure: time is passed in. */

/** The rate is that of the last seconds: a run that was slow at first is not slow for ever. */
const rateWindowMs = 15_000
const barWidth = 24

export class Progress {
  #lines = 0
  #failed = 0
  #cached = 0
  #bytes: number
  #waiting = ''
  readonly #totalBytes: number | undefined
  readonly #beganAt: number
  readonly #samples: { at: number; lines: number; bytes: number }[]

  /**
   * @param totalBytes of the input; undefined where it has no known end
   * @param fromBytes where the input goes on, when a run is resumed
   */
  constructor(totalBytes: number | undefined, fromBytes: number, now: number) {
    this.#totalBytes = totalBytes
    this.#bytes = fromBytes
    this.#beganAt = now
    this.#samples = [{ at: now, lines: 0, bytes: fromBytes }]
  }

  get failed(): number {
    return this.#failed
  }

  /** @param bytes of input whose lines are written */
  written(lines: number, failed: number, cached: number, bytes: number, now: number): void {
    this.#waiting = ''
    this.#lines += lines
    this.#failed += failed
    this.#cached += cached
    this.#bytes = bytes
    this.#samples.push({ at: now, lines: this.#lines, bytes })
    while ((this.#samples[1]?.at ?? now) < now - rateWindowMs) this.#samples.shift()
  }

  /** The fleet is away or busy; said until the next lines are written. */
  waiting(words: string): void {
    this.#waiting = words
  }

  /** `[=====         ] 38 %  12,340 lines  3 failed  512/s  0:42 left` */
  line(now: number): string {
    const share = this.#totalBytes ? Math.min(1, this.#bytes / this.#totalBytes) : undefined
    const oldest = this.#samples[0] ?? { at: now, lines: 0, bytes: 0 }
    const seconds = (now - oldest.at) / 1000
    const rate = seconds > 0 ? (this.#lines - oldest.lines) / seconds : 0
    const bytesPerS = seconds > 0 ? (this.#bytes - oldest.bytes) / seconds : 0
    const leftS = this.#totalBytes && bytesPerS > 0 ? (this.#totalBytes - this.#bytes) / bytesPerS : undefined
    return [
      share === undefined ? '' : `${bar(share)} ${Math.floor(share * 100)} %`,
      linesWords(this.#lines),
      this.#failed > 0 ? `${count(this.#failed)} failed` : '',
      rate > 0 ? `${count(rate)}/s` : '',
      leftS === undefined ? '' : `${duration(leftS)} left`,
      this.#waiting,
    ]
      .filter((part) => part !== '')
      .join('  ')
  }

  /** `12,340 lines in 0:24, 512/s, 1,200 known to the cache, 3 failed` */
  summary(now: number): string {
    const seconds = (now - this.#beganAt) / 1000
    return [
      `${linesWords(this.#lines)} in ${duration(seconds)}`,
      seconds > 0 && this.#lines > 0 ? `${count(this.#lines / seconds)}/s` : '',
      this.#cached > 0 ? `${count(this.#cached)} known to the cache` : '',
      this.#failed > 0 ? `${count(this.#failed)} failed` : '',
    ]
      .filter((part) => part !== '')
      .join(', ')
  }
}

function bar(share: number): string {
  const full = Math.round(share * barWidth)
  return `[${'='.repeat(full)}${' '.repeat(barWidth - full)}]`
}

function linesWords(lines: number): string {
  return `${count(lines)} ${lines === 1 ? 'line' : 'lines'}`
}

function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 1 : 0 })
}

/** `m:ss`, or `h:mm:ss`. */
function duration(seconds: number): string {
  const whole = Math.round(seconds)
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const pad = (value: number) => String(value).padStart(2, '0')
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`
}
