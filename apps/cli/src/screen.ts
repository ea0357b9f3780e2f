/**
 * What the launcher writes. At a terminal: readable lines, each child's with its name in front. Elsewhere: children's
 * lines exactly as they came (JSON), the launcher's own as plain text.
 */
import type { FleetEvent } from './fleet-event.js'
import { readableLine } from './log-line.js'
import { type Paint, plainPaint, terminalPaint } from './paint.js'
import { type Proof, proofSentences } from './prove.js'

export interface Output {
  out(text: string): void
  err(text: string): void
}

const nameWidth = 12

export class Screen {
  readonly #output: Output
  readonly #pretty: boolean
  readonly #paint: Paint

  constructor(output: Output, options: { pretty: boolean; colors: boolean }) {
    this.#output = output
    this.#pretty = options.pretty
    this.#paint = options.colors ? terminalPaint : plainPaint
  }

  say(text = ''): void {
    this.#output.out(`${text}\n`)
  }

  fault(text: string): void {
    this.#output.err(`${this.#paint.red('✗')} ${text}\n`)
  }

  event(event: FleetEvent): void {
    const paint = this.#paint
    switch (event.type) {
      case 'line':
        this.#childLine(event.name, event.stream, event.text)
        break
      case 'ready': {
        const took = event.tookMs > 0 ? paint.dim(` ${seconds(event.tookMs)}`) : ''
        this.say(`${paint.green('✓')} ${event.name.padEnd(nameWidth)} ${event.detail}${took}`)
        break
      }
      case 'restarting':
        this.#warn(`${event.name} ${event.ending}; starting it again in ${seconds(event.delayMs)}`)
        for (const line of event.lastWords) this.#childLine(event.name, 'stderr', line)
        break
      case 'waiting':
        this.#warn(`Still waiting after ${event.seconds} s for:`)
        for (const line of event.missing) this.say(`    ${line}`)
        break
      case 'note':
        this.#warn(event.text)
        break
      case 'stopping':
        this.say(paint.dim(`  stopping ${event.name}`))
        break
      case 'killed':
        this.#warn(`${event.name} did not stop within ${seconds(event.afterMs)}: killed`)
        break
    }
  }

  proof(proof: Proof): void {
    const paint = this.#paint
    this.say()
    this.say(paint.bold('Three sentences, embedded through HTTP'))
    proofSentences.forEach((sentence, index) => {
      this.say(`  ${index + 1}  ${sentence}`)
    })
    this.say()
    this.say(
      paint.dim(`  similarity ${proofSentences.map((_, index) => String(index + 1).padStart(7)).join('')}`),
    )
    proof.similarities.forEach((row, index) => {
      const cells = row.map((value) => value.toFixed(3).padStart(7)).join('')
      this.say(`  ${String(index + 1).padStart(10)} ${cells}`)
    })
    this.say()
    for (const [words, answer] of [
      ['first answer', proof.first],
      ['asked again', proof.second],
    ] as const) {
      const took = `${answer.tookMs.toFixed(1)} ms`.padStart(10)
      this.say(`  ${words.padEnd(13)} ${took}   X-Cache: ${answer.cache}`)
    }
    if (proof.second.cache !== 'hit') {
      this.#warn('The second answer did not come from the cache; is the cache Redis well?')
    }
  }

  /** Where things are, and a command to paste. */
  directions(url: string, model: string): void {
    const paint = this.#paint
    const body = JSON.stringify({ model, input: 'Hello, Millrace' })
    this.say()
    this.say(`${paint.bold('API')}        ${url}/v1/jobs`)
    this.say(`${paint.bold('Docs')}       ${url}/docs`)
    this.say(`${paint.bold('Dashboard')}  ${url}/admin/queues`)
    this.say()
    this.say('Try it:')
    this.say(
      `  curl -s ${url}/v1/jobs -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\\n    -d '${body}'`,
    )
    this.say()
    this.say(paint.dim('Ctrl-C stops everything.'))
  }

  #warn(text: string): void {
    this.say(`${this.#paint.yellow('!')} ${text}`)
  }

  #childLine(name: string, stream: 'stdout' | 'stderr', text: string): void {
    const write = stream === 'stdout' ? this.#output.out : this.#output.err
    if (!this.#pretty) {
      write(`${text}\n`)
      return
    }
    const readable = readableLine(text, this.#paint).replaceAll('\n', `\n${' '.repeat(nameWidth + 1)}`)
    write(`${this.#paint.cyan(name.padEnd(nameWidth))} ${readable}\n`)
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
