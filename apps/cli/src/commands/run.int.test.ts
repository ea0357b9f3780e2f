import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { commandRun } from '../stand-in/command-run.js'
import { type JobGateway, jobGateway, vectorOf } from '../stand-in/job-gateway.js'
import { runCommand } from './run.js'

let gateway: JobGateway
let dir: string
let input: string
let output: string
beforeEach(async () => {
  gateway = await jobGateway()
  dir = mkdtempSync(join(tmpdir(), 'millrace-run-'))
  input = join(dir, 'in.jsonl')
  output = join(dir, 'out.jsonl')
})
afterEach(async () => {
  await gateway.close()
  rmSync(dir, { recursive: true, force: true })
})

const texts = (count: number) => Array.from({ length: count }, (_, i) => `text ${i}`)
const lines = (values: unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('')
const read = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const timesComputed = () => new Set(gateway.computed.values())
const journal = () => `${output}.run.json`
const errorsFile = () => `${output}.errors.jsonl`
const rounded = (values: number[]) => values.map((value) => expect.closeTo(value, 6))

const args = (...more: string[]) => [input, '--model', 'm', '--url', gateway.url, ...more]
const toFile = (...more: string[]) => args('--output', output, '--batch', '4', '--quiet', ...more)
const run = async (given: readonly string[], options: Parameters<typeof commandRun>[0] = {}) => {
  const process = commandRun(options)
  return { ...(await process.end(runCommand(process.io), given)), out: process.out(), err: process.err() }
}

describe('a run', () => {
  test('gives each line its vector, in the order of the lines, with the id it was given', async () => {
    const ids = [7, 'seven', null, { a: [1] }]
    writeFileSync(input, lines(texts(50).map((text, i) => (i % 2 ? text : { input: text, id: ids[i % 4] }))))
    expect(await run(toFile())).toMatchObject({ code: 0, words: '' })
    const rows = read(output)
    expect(rows.map(({ index }) => index)).toEqual(texts(50).map((_, i) => i))
    rows.forEach(({ id, output: vector }, i) => {
      expect(vector).toEqual(rounded(vectorOf(`text ${i}`)))
      expect(id).toEqual(i % 2 ? undefined : ids[i % 4])
    })
    expect(gateway.jobs).toHaveLength(13)
  })

  test('writes to standard output by itself, and its failures to standard error', async () => {
    const { code, out, err } = await run(
      args('-q', '--quiet')
        .filter((arg) => arg !== '-q')
        .with(0, '-'),
      {
        stdin: lines(['a', '', 'b']),
      },
    )
    expect(code).toBe(1)
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { index: 0, output: rounded(vectorOf('a')) },
      { index: 1, error: { code: 'empty_input' } },
      { index: 2, output: rounded(vectorOf('b')) },
    ])
    expect(JSON.parse(err.split('\n')[0] ?? '')).toMatchObject({
      index: 1,
      input: '',
      error: { code: 'empty_input' },
    })
  })

  test('asks for base64, and hands it over as it came when the file shall have it', async () => {
    writeFileSync(input, lines(['a']))
    await run(toFile('--encoding', 'base64'))
    expect(gateway.jobs[0]?.body.options).toEqual({ encoding: 'base64', truncate: false })
    expect(read(output)).toEqual([
      { index: 0, output: Buffer.from(Float32Array.from(vectorOf('a')).buffer).toString('base64') },
    ])
  })

  test('asks a model of another task for no encoding', async () => {
    gateway.models[0] = { id: 'm', object: 'model', task: 'text-classification', workers: 2, facts: null }
    writeFileSync(input, lines(['a']))
    await run(toFile())
    expect(gateway.jobs[0]?.body.options).toEqual({ truncate: false })
  })

  test('leaves nothing but its output when nothing failed', async () => {
    writeFileSync(input, lines(texts(9)))
    await run(toFile())
    expect([existsSync(journal()), existsSync(errorsFile())]).toEqual([false, false])
  })

  test('counts empty lines, has no result for them, and takes a last line without its end', async () => {
    writeFileSync(input, '"a"\n\n  \r\n"b"')
    expect(await run(toFile())).toMatchObject({ code: 0 })
    expect(read(output).map(({ index }) => index)).toEqual([0, 3])
  })

  test('of an empty file is an empty file', async () => {
    writeFileSync(input, '')
    expect(await run(toFile())).toMatchObject({ code: 0 })
    expect(readFileSync(output, 'utf8')).toBe('')
  })

  test('shows how far it is, how fast, and how it ended', async () => {
    writeFileSync(input, lines(texts(9)))
    const { err } = await run(args('--output', output))
    expect(err).toMatch(/9 lines in 0:0\d, [\d.,]+\/s\n$/)
  })

  test('never has more jobs under way than it may, and ends with every line', async () => {
    writeFileSync(input, lines(texts(400)))
    gateway.hold = true
    const ending = run(toFile('--concurrency', '3'))
    await gateway.submitted(3)
    gateway.release()
    expect(await ending).toMatchObject({ code: 0 })
    expect(gateway.jobs).toHaveLength(100)
    expect(gateway.mostUnderWay).toBe(3)
  })

  test('waits as long as a full queue says, and goes on', async () => {
    writeFileSync(input, lines(texts(2)))
    gateway.refusals.push({ code: 'queue_full', retryAfterS: 0 }, { code: 'queue_unavailable' })
    expect(await run(toFile())).toMatchObject({ code: 0 })
    expect(read(output)).toHaveLength(2)
  })
})

describe('a line that fails', () => {
  test('keeps its place, and costs no other line', async () => {
    writeFileSync(
      input,
      `"a"\nnot json\n{"id":"x","text":"b"}\n[1]\n${lines(['', { input: 'c', id: 3 }, '', 'd'])}`,
    )
    expect(await run(toFile())).toMatchObject({ code: 1, words: expect.stringContaining(errorsFile()) })
    expect(read(output)).toMatchObject([
      { index: 0, output: rounded(vectorOf('a')) },
      { index: 1, error: { code: 'malformed_json' } },
      { index: 2, id: 'x', error: { code: 'invalid_request' } },
      { index: 3, error: { code: 'invalid_request' } },
      { index: 4, error: { code: 'empty_input' } },
      { index: 5, id: 3, output: rounded(vectorOf('c')) },
      { index: 6, error: { code: 'empty_input' } },
      { index: 7, output: rounded(vectorOf('d')) },
    ])
    expect(read(errorsFile()).map(({ index }) => index)).toEqual([1, 2, 3, 4, 6])
  })

  test('in the model is told from its neighbours in the same job', async () => {
    writeFileSync(input, lines(['a', { input: 'bad', id: 'b' }, 'c']))
    gateway.endings.set('bad', 'input_crashes_model')
    expect(await run(toFile())).toMatchObject({ code: 1 })
    expect(read(errorsFile())).toEqual([
      { index: 1, id: 'b', input: 'bad', error: { code: 'input_crashes_model', detail: 'no bad' } },
    ])
    expect(read(output).map((row) => 'error' in row)).toEqual([false, true, false])
  })

  test('can be run again from the errors file, once its cause is gone', async () => {
    writeFileSync(input, lines(['a', { input: 'bad', id: 'b' }]))
    gateway.endings.set('bad', 'inference_failed')
    await run(toFile())
    gateway.endings.clear()
    const second = join(dir, 'second.jsonl')
    expect(await run([errorsFile(), '--model', 'm', '--url', gateway.url, '--output', second])).toMatchObject(
      { code: 0 },
    )
    expect(read(second)).toMatchObject([{ id: 'b', output: rounded(vectorOf('bad')) }])
  })

  test('is every line of a job that was canceled', async () => {
    writeFileSync(input, lines(texts(6)))
    gateway.endings.set('text 5', 'canceled')
    await run(toFile())
    expect(read(errorsFile())).toMatchObject(
      [4, 5].map((index) => ({ index, error: { code: 'job_canceled' } })),
    )
  })

  test('is every line of a job that expired three times', async () => {
    writeFileSync(input, lines(texts(4)))
    gateway.endings.set('text 0', 'expired')
    await run(toFile())
    expect(read(errorsFile())).toMatchObject(
      texts(4).map((_, index) => ({ index, error: { code: 'job_expired' } })),
    )
    expect(new Set(gateway.jobs.map(({ key }) => key)).size).toBe(3)
  })

  test('is a single one that is too large; a chunk that is too large is halved', async () => {
    writeFileSync(input, lines(['a', 'b', 'x'.repeat(500), 'c']))
    gateway.limits.bodyBytes = 400
    expect(await run(toFile())).toMatchObject({ code: 1 })
    expect(read(output).map((row) => 'error' in row)).toEqual([false, false, true, false])
    expect(read(errorsFile())).toMatchObject([{ index: 2, error: { code: 'body_too_large' } }])
  })

  test('is none where a job may only hold fewer items', async () => {
    writeFileSync(input, lines(texts(10)))
    gateway.limits.items = 3
    expect(await run(toFile())).toMatchObject({ code: 0 })
    expect(read(output)).toHaveLength(10)
  })
})

describe('a run that cannot go on', () => {
  test('says why and how to resume, and keeps what it has', async () => {
    writeFileSync(input, lines(texts(20)))
    gateway.hold = true
    const ending = run(toFile('--concurrency', '2'))
    await gateway.submitted(2)
    gateway.refusals.push({ code: 'unauthorized' })
    gateway.release()
    const { code, words } = await ending
    expect(code).toBe(1)
    expect(words).toContain('unauthorized')
    expect(words).toContain('The same command again goes on from here.')
    expect(read(output)).toHaveLength(8)
    expect(await run(toFile())).toMatchObject({ code: 0 })
    expect(read(output).map(({ index }) => index)).toEqual(texts(20).map((_, i) => i))
    expect(timesComputed()).toEqual(new Set([1]))
  })

  test.each([
    ['a model that the fleet has not', () => args('--model', 'other'), /no model 'other'. It has: m/],
    ['an input that is not there', () => toFile().with(0, 'nowhere.jsonl'), /nowhere\.jsonl/],
    ['an address that is none', () => toFile('--url', 'ftp://x'), /http/],
    ['an option that is none', () => toFile('--batch', 'many'), /^$/],
  ])('with %s is a usage error', async (_what, given, words) => {
    writeFileSync(input, lines(['a']))
    expect(await run(given())).toMatchObject({ code: 2, words: expect.stringMatching(words) })
    expect(gateway.jobs).toEqual([])
  })

  test('over a file that is there already leaves it alone, unless it is told to', async () => {
    writeFileSync(input, lines(['a']))
    writeFileSync(output, 'mine\n')
    expect(await run(toFile())).toMatchObject({ code: 2 })
    expect(readFileSync(output, 'utf8')).toBe('mine\n')
    expect(await run(toFile('--overwrite'))).toMatchObject({ code: 0 })
    expect(read(output)).toHaveLength(1)
  })
})

describe('a run after a crash', () => {
  test('gives the same file, wherever it was cut, and computes nothing twice', async () => {
    writeFileSync(input, lines(texts(30)))
    gateway.endings.set('text 9', 'inference_failed')
    // With its journal, and an output cut anywhere, this is what a crash leaves on the disk.
    gateway.hold = true
    const dying = commandRun()
    const ending = dying.end(runCommand(dying.io), toFile())
    await gateway.submitted(8)
    copyFileSync(journal(), join(dir, 'journal'))
    gateway.release()
    expect(await ending).toMatchObject({ code: 1 })
    const [whole, errors] = [readFileSync(output, 'utf8'), readFileSync(errorsFile(), 'utf8')]
    const cuts = [0, 1, whole.indexOf('\n'), whole.indexOf('\n') + 1]
    for (let at = 7; at <= whole.length; at += 97) cuts.push(at)
    for (const cut of [...cuts, whole.length - 1, whole.length]) {
      copyFileSync(join(dir, 'journal'), journal())
      writeFileSync(output, whole.slice(0, cut))
      writeFileSync(errorsFile(), errors)
      await run(toFile())
      expect(readFileSync(output, 'utf8'), `cut at ${cut}`).toBe(whole)
      expect(readFileSync(errorsFile(), 'utf8'), `cut at ${cut}`).toBe(errors)
    }
    expect(timesComputed()).toEqual(new Set([1]))
    expect(gateway.jobs).toHaveLength(8)
  })

  test('refuses to go on with another input, model or form, and names what differs', async () => {
    writeFileSync(input, lines(texts(8)))
    gateway.refusals.push({ code: 'unauthorized' })
    await run(toFile())
    expect(existsSync(journal())).toBe(true)
    expect(await run(toFile('--truncate', '--encoding', 'base64'))).toMatchObject({
      code: 2,
      words: expect.stringContaining('truncate, encoding'),
    })
    writeFileSync(input, lines(texts(9)))
    expect(await run(toFile())).toMatchObject({ code: 2, words: expect.stringContaining('input') })
  })

  test('is another run when it begins anew: its jobs are its own', async () => {
    writeFileSync(input, lines(texts(8)))
    await run(toFile())
    await run(toFile('--overwrite'))
    expect(new Set(gateway.jobs.map(({ key }) => key)).size).toBe(4)
  })

  test('notices another process in its output', async () => {
    writeFileSync(input, lines(texts(8)))
    gateway.hold = true
    const ending = run(toFile('--concurrency', '1'))
    await gateway.submitted(1)
    writeFileSync(output, 'someone else\n')
    gateway.release()
    expect(await ending).toMatchObject({ code: 1, words: expect.stringContaining('Something else writes') })
  })
})

describe('Ctrl-C', () => {
  test('writes what is under way, says how to resume, and exits with 130', async () => {
    writeFileSync(input, lines(texts(40)))
    gateway.hold = true
    const stopped = commandRun()
    const ending = stopped.end(runCommand(stopped.io), toFile('--concurrency', '2'))
    await gateway.submitted(2)
    stopped.signals.emit('SIGINT')
    gateway.release()
    expect(await ending).toEqual({ code: 130, words: 'Stopped. The same command again goes on from here.' })
    expect(read(output)).toHaveLength(8)
    expect(await run(toFile())).toMatchObject({ code: 0 })
    expect(read(output)).toHaveLength(40)
    expect(timesComputed()).toEqual(new Set([1]))
  })

  test('a second time does not wait for what is under way', async () => {
    writeFileSync(input, lines(texts(40)))
    gateway.hold = true
    const stopped = commandRun()
    const ending = stopped.end(runCommand(stopped.io), toFile())
    await gateway.submitted(8)
    stopped.signals.emit('SIGINT')
    stopped.signals.emit('SIGINT')
    expect(await ending).toMatchObject({ code: 130 })
    expect(read(output)).toHaveLength(0)
  })

  test('ends the reading of a standard input that says nothing more', async () => {
    const stdin = new PassThrough()
    stdin.write(lines(texts(32)))
    const silent = commandRun({ stdin })
    const ending = silent.end(runCommand(silent.io), args('--quiet').with(0, '-'))
    await gateway.submitted(1)
    silent.signals.emit('SIGINT')
    expect(await ending).toMatchObject({ code: 130, words: expect.stringContaining('cannot be resumed') })
    expect(silent.out().split('\n')).toHaveLength(33)
  })
})

test('a process that is killed in mid-file is resumed by the next one, and no line is computed twice', async () => {
  const bin = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
  writeFileSync(input, lines(texts(200)))
  gateway.hold = true
  const child = spawn(process.execPath, [bin, 'run', ...toFile('--concurrency', '4')], { stdio: 'ignore' })
  const died = new Promise((resolve) => child.on('exit', (_code, signal) => resolve(signal)))
  await gateway.submitted(4)
  gateway.release()
  gateway.hold = true
  await gateway.submitted(8)
  child.kill('SIGKILL')
  expect(await died).toBe('SIGKILL')
  gateway.release()
  expect(await run(toFile('--concurrency', '4'))).toMatchObject({ code: 0 })
  expect(read(output).map(({ index }) => index)).toEqual(texts(200).map((_, i) => i))
  expect(gateway.computed.size).toBe(200)
  expect(timesComputed()).toEqual(new Set([1]))
  expect(gateway.jobs).toHaveLength(50)
})
