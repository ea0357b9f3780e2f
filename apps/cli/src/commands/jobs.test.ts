/** submit, wait and cancel: what they send, write and exit with. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { commandRun } from '../stand-in/command-run.js'
import { type JobGateway, jobGateway } from '../stand-in/job-gateway.js'
import { cancelCommand } from './cancel.js'
import type { CommandIo } from './command-io.js'
import { submitCommand } from './submit.js'
import { waitCommand } from './wait.js'

const commands = { submit: submitCommand, wait: waitCommand, cancel: cancelCommand }
const model = ['--model', 'm']

let gateway: JobGateway
beforeEach(async () => {
  gateway = await jobGateway()
})
afterEach(() => gateway.close())

async function run(name: keyof typeof commands, args: string[], stdin?: string) {
  const started = commandRun(stdin === undefined ? {} : { stdin })
  const make: (io: CommandIo) => ReturnType<typeof submitCommand> = commands[name]
  const end = await started.end(make(started.io), [...args, '--url', gateway.url])
  return { ...end, out: started.out() }
}
const id = () => gateway.jobs.at(-1)?.id ?? ''

describe('submit', () => {
  test('sends one text as one input, and says which job it is', async () => {
    gateway.hold = true
    const { code, out } = await run('submit', [...model, 'a text'])
    expect([code, out]).toEqual([0, `${id()}  queued  0 of 1 item\n`])
    expect(gateway.jobs[0]?.body).toEqual({
      model: 'm',
      input: 'a text',
      options: { truncate: false },
    })
  })

  test('sends many texts as one job, from standard input as well', async () => {
    await run('submit', [...model, 'a', 'b'])
    await run('submit', [...model, '-'], 'c\r\nd\n')
    expect(gateway.jobs.map(({ body }) => body.inputs)).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ])
  })

  test('takes texts, images or recordings, one of the three, and says which file is not there', async () => {
    const usage = { code: 2, words: expect.stringContaining('one of the three') }
    expect(await run('submit', model)).toMatchObject(usage)
    expect(await run('submit', [...model, 'a', '--image', 'b.png'])).toMatchObject(usage)
    expect(await run('submit', [...model, '--audio', 'a.wav', '--image', 'b.png'])).toMatchObject(usage)
    const missing = await run('submit', [...model, '--image', '/nowhere/b.png'])
    expect(missing).toMatchObject({ code: 2, words: expect.stringContaining('/nowhere/b.png') })
    expect(gateway.jobs).toEqual([])
  })

  test('sends all that a job can be given', async () => {
    await run('submit', [
      ...model,
      ...['a', '--truncate', '--encoding', 'base64', '--priority', '9', '--webhook', 'https://example.com/'],
      ...['--metadata', 'order=17', '--metadata', 'note=a=b', '--idempotency-key', 'mine', '--key', 'mr_1'],
    ])
    expect(gateway.jobs[0]).toMatchObject({
      key: 'mine',
      body: {
        options: { truncate: true, encoding: 'base64' },
        priority: 9,
        metadata: { order: '17', note: 'a=b' },
        webhook: { url: 'https://example.com/' },
      },
    })
    expect(gateway.lastHeaders.authorization).toBe('Bearer mr_1')
  })

  test('waits when told to, and shows each output', async () => {
    const { code, out } = await run('submit', [...model, 'a text', 'bad', '--wait'])
    expect(code).toBe(0)
    const [line, first, second] = out.split('\n')
    expect(line).toBe(`${id()}  succeeded  2 of 2 items  12 ms`)
    expect(first).toMatch(/^ {2}0 {2}\[0\.6000, 0\.\d+\] \(2 numbers\)$/)
    expect(second).toMatch(/^ {2}1 {2}\[/)
  })

  test('shows the single output of a single text, in either encoding', async () => {
    for (const encoding of ['float', 'base64']) {
      const { out } = await run('submit', [...model, 'a text', '--wait', '--encoding', encoding])
      expect(out).toMatch(/\n {2}0 {2}\[0\.6000, 0\.\d+\] \(2 numbers\)\n$/)
    }
  })

  test('writes the job as JSON for a script', async () => {
    const { out } = await run('submit', [...model, 'a text', '--wait', '--json'])
    expect(JSON.parse(out)).toMatchObject({ id: id(), status: 'succeeded' })
  })

  test('that is refused says why, and exits with 1', async () => {
    const { code, words } = await run('submit', ['--model', 'other', 'a'])
    expect([code, words]).toEqual([1, "model_not_found: no model 'other' (request request-1)"])
  })

  test('says where a key is given when one is needed', async () => {
    gateway.refusals.push({ code: 'unauthorized' })
    expect((await run('submit', [...model, 'a'])).words).toContain('MILLRACE_KEY')
  })

  test('whose job fails exits with 1', async () => {
    gateway.endings.set('a', 'failed')
    expect(await run('submit', [...model, 'a', '--wait'])).toMatchObject({
      code: 1,
      out: expect.stringContaining('failed'),
    })
  })

  test('interrupted while it waits says how to go on, and exits with 130', async () => {
    gateway.hold = true
    const waiting = commandRun()
    const ending = waiting.end(submitCommand(waiting.io), [...model, 'a', '--wait', '--url', gateway.url])
    await gateway.asked(`/v1/jobs/`)
    waiting.signals.emit('SIGINT')
    expect(await ending).toEqual({ code: 130, words: `The job goes on: millrace wait ${id()}` })
  })

  test.each([
    ['no model', ['a']],
    ['no text', model],
    ['"-" among texts', [...model, 'a', '-']],
    ['nothing on standard input', [...model, '-']],
    ['a priority that is none', [...model, 'a', '--priority', '10']],
    ['metadata that is none', [...model, 'a', '--metadata', 'x']],
    ['an unknown option', [...model, 'a', '--nonsense']],
  ])('with %s is a usage error', async (_what, args) => {
    expect(await run('submit', args)).toMatchObject({ code: 2 })
    expect(gateway.jobs).toEqual([])
  })
})

describe('wait', () => {
  test('shows the job once it is settled', async () => {
    gateway.hold = true
    await run('submit', [...model, 'a'])
    const ending = run('wait', [id()])
    await gateway.asked('/v1/jobs/')
    gateway.release()
    expect(await ending).toMatchObject({ code: 0, out: expect.stringContaining(`${id()}  succeeded`) })
  })

  test('ends at its limit with 1, and says that the job goes on', async () => {
    gateway.hold = true
    await run('submit', [...model, 'a'])
    expect(await run('wait', [id(), '--timeout', '1'])).toMatchObject({
      code: 1,
      words: `Not settled within 1 s. The job goes on: millrace wait ${id()}`,
    })
  })

  test('for a job that is not there exits with 1', async () => {
    expect(await run('wait', ['nothing'])).toMatchObject({
      code: 1,
      words: expect.stringMatching(/^job_not_found/),
    })
  })
})

describe('cancel', () => {
  test('shows the canceled job', async () => {
    gateway.hold = true
    await run('submit', [...model, 'a'])
    expect(await run('cancel', [id()])).toMatchObject({ code: 0, out: `${id()}  canceled  0 of 1 item\n` })
  })

  test('of a settled job exits with 1', async () => {
    await run('submit', [...model, 'a', '--wait'])
    expect(await run('cancel', [id()])).toMatchObject({
      code: 1,
      words: expect.stringMatching(/^job_settled/),
    })
  })
})
