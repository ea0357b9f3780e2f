/** The commands on a millrace.json of their own, with the fixture models and a hub on loopback. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig, loadSettings } from '@millrace/config'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { commandRun } from '../stand-in/command-run.js'
import { type Hub, startHub } from '../stand-in/hub.js'
import { modelsCommand } from './models.js'

// Model processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

const fixture = fileURLToPath(new URL('../../../../models/fixtures/tiny-classifier', import.meta.url))
const commit = 'c'.repeat(40)
const kind = ['--task', 'text-classification', '--dtype', 'fp32']

let folder: string
let file: string
let hub: Hub
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-models-'))
  file = join(folder, 'millrace.json')
  cpSync(fixture, join(folder, 'tiny'), { recursive: true })
  hub = await startHub(fixture)
})
afterEach(async () => {
  await hub.close()
  rmSync(folder, { recursive: true })
})

async function models(...args: string[]) {
  const run = commandRun()
  const environment = {
    MILLRACE_CONFIG: file,
    MILLRACE_DATA_DIR: join(folder, 'data'),
    HUB_URL: hub.url,
  }
  const read = { settings: () => loadSettings(environment), config: () => loadConfig(environment) }
  const end = await run.end(modelsCommand(run.io, read), args)
  return { ...end, out: run.out(), err: run.err() }
}
const written = () => JSON.parse(readFileSync(file, 'utf8'))
/** Nothing of a file that was only begun. */
const beside = () => readdirSync(folder).sort()

describe('models add hub:', () => {
  test('fetches, loads and pins a commit, in a file that is made where there is none', async () => {
    const { code, out, err } = await models('add', `hub:owner/name@${commit}`, '--alias', 'tiny', ...kind)
    expect(code).toBe(0)
    expect(err).toMatch(/^tiny: fetched onnx\/model\.onnx \(0\.2 MB\)$/m)
    expect(err).toMatch(/^tiny: weights to share prepared/m)
    expect(out).toMatch(/^tiny +text-classification +fp32 +3 /m)
    const { digest, ...entry } = written().models.tiny
    expect(entry).toEqual({ hub: 'owner/name', revision: commit, task: 'text-classification', dtype: 'fp32' })
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(out).toContain(digest)
    expect(readFileSync(file, 'utf8')).toBe(`${JSON.stringify(written(), null, 2)}\n`)
    expect(beside()).toEqual(['data', 'millrace.json', 'tiny'])
    const verified = await models('verify')
    expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^tiny +pinned +sha256:/m) })
  })

  test('pins the commit that a branch is now, under the model’s own name', async () => {
    hub.commits.set('main', commit)
    expect(await models('add', 'hub:owner/name@main', ...kind)).toMatchObject({ code: 0 })
    expect(written().models.name).toMatchObject({ hub: 'owner/name', revision: commit })
  })

  test('asks for a commit where the hub does not say which one a branch is', async () => {
    const { code, words } = await models('add', 'hub:owner/name@main', ...kind)
    expect(code).toBe(1)
    expect(words).toMatch(/'main' is no commit.*40 hexadecimal digits/)
    expect(existsSync(file)).toBe(false)
  })

  test('leaves the file as it was where a download fails, and says which file it was', async () => {
    writeFileSync(file, '{ "models": { "other": { "path": "tiny" } } }')
    hub.lost.add('onnx/model.onnx')
    const { code, words } = await models('add', `hub:owner/name@${commit}`, ...kind)
    expect(code).toBe(1)
    expect(words).toMatch(/^name: .*onnx\/model\.onnx/)
    expect(readFileSync(file, 'utf8')).toBe('{ "models": { "other": { "path": "tiny" } } }')
    expect(beside()).toEqual(['data', 'millrace.json', 'tiny'])
  })

  test('leaves the file as it was where the hub cannot be reached', async () => {
    await hub.close()
    const { code, words } = await models('add', 'hub:owner/name@main', ...kind)
    expect(code).toBe(1)
    expect(words).toMatch(/'main' is no commit, and was not resolved: .*owner\/name/)
    expect(existsSync(file)).toBe(false)
  })
})

describe('models add path:', () => {
  test('names a folder beside the file from there, and one elsewhere whole; the rest of the file stays', async () => {
    const before = {
      $schema: './millrace.schema.json',
      models: { other: { path: '/elsewhere', limits: { threads: 2 } } },
    }
    writeFileSync(file, JSON.stringify(before))
    expect(await models('add', `path:${join(folder, 'tiny')}`, ...kind)).toMatchObject({ code: 0 })
    expect(await models('add', `path:${fixture}`, '--alias', 'far', ...kind)).toMatchObject({ code: 0 })
    const { $schema, models: entries } = written()
    expect($schema).toBe(before.$schema)
    expect(Object.keys(entries)).toEqual(['other', 'tiny', 'far'])
    expect(entries.other).toEqual(before.models.other)
    expect(entries.tiny).toMatchObject({ path: 'tiny' })
    expect(entries.far).toMatchObject({ path: fixture, digest: entries.tiny.digest })
    expect(hub.asked).toEqual([])
  })

  test('refuses an alias that is taken, and replaces it when asked: its limits, task and dtype stay', async () => {
    const old = { path: 'gone', task: 'text-classification', dtype: 'fp32', limits: { batch_tokens: 99 } }
    writeFileSync(file, JSON.stringify({ models: { tiny: old } }))
    const refused = await models('add', `path:${join(folder, 'tiny')}`)
    expect(refused).toMatchObject({ code: 2, words: expect.stringContaining('--replace') })
    expect(await models('add', `path:${join(folder, 'tiny')}`, '--replace')).toMatchObject({ code: 0 })
    expect(written().models.tiny).toEqual({ ...old, path: 'tiny', digest: expect.stringMatching(/^sha256:/) })
  })

  test('of a model that does not load changes nothing', async () => {
    appendFileSync(join(folder, 'tiny', 'config.json'), '}')
    const { code, words } = await models('add', `path:${join(folder, 'tiny')}`, ...kind)
    expect(code).toBe(1)
    expect(words).toMatch(/^tiny: /)
    expect(existsSync(file)).toBe(false)
  })

  test('through a link changes the file behind it', async () => {
    writeFileSync(join(folder, 'real.json'), '{"models":{"other":{"path":"x"}}}')
    symlinkSync(join(folder, 'real.json'), file)
    expect(await models('add', `path:${join(folder, 'tiny')}`, ...kind)).toMatchObject({ code: 0 })
    expect(Object.keys(JSON.parse(readFileSync(join(folder, 'real.json'), 'utf8')).models)).toEqual([
      'other',
      'tiny',
    ])
  })

  test.each([
    ['no kind of source', ['tiny']],
    ['no revision', ['hub:owner/name']],
    ['no such task', ['path:tiny', '--task', 'juggling']],
    ['no such dtype', ['path:tiny', '--dtype', 'fp64']],
    ['an alias that is a path', ['path:tiny', '--alias', '../x']],
  ])('%s is asked for in a wrong way', async (_, args) => {
    expect(await models('add', ...args)).toMatchObject({ code: 2 })
    expect(existsSync(file)).toBe(false)
  })
})

describe('models verify', () => {
  test('tells pinned, changed, unpinned, absent and broken models apart, and exits with 1', async () => {
    await models('add', `path:${join(folder, 'tiny')}`, '--alias', 'changed', ...kind)
    const { changed } = written().models
    const entries = {
      good: { ...changed, path: fixture },
      changed,
      free: { ...changed, digest: undefined },
      away: { hub: 'owner/name', revision: commit },
      broken: { path: 'data' },
    }
    writeFileSync(file, JSON.stringify({ models: entries }))
    appendFileSync(join(folder, 'tiny/onnx/model.onnx'), ' ')
    const { code, out, words } = await models('verify')
    expect(code).toBe(1)
    expect(out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 2))).toEqual([
      ['MODEL', 'FILES'],
      ['good', 'pinned'],
      ['changed', 'changed'],
      ['free', 'not pinned'],
      ['away', 'not here'],
      ['broken', 'broken'],
      [''],
    ])
    expect(words).toMatch(
      new RegExp(`^changed: .*pinned is ${changed.digest}.*Changed: onnx/model\\.onnx\\.`, 'm'),
    )
    expect(words).toMatch(/^away: it was not downloaded/m)
    expect(await models('verify', 'good', '--json')).toMatchObject({
      code: 0,
      out: `${JSON.stringify([{ id: 'good', state: 'pinned', digest: changed.digest, error: null }])}\n`,
    })
    expect(await models('verify', 'nope')).toMatchObject({ code: 2 })
  })
})

describe('models list and models remove', () => {
  beforeEach(() => {
    const digest = `sha256:${'d'.repeat(64)}`
    const pinned = { hub: 'owner/name', revision: commit, digest, limits: { threads: 2 } }
    writeFileSync(file, JSON.stringify({ models: { pinned, local: { path: 'tiny', dtype: 'fp32' } } }))
  })

  test('list shows where each comes from, and whether it is pinned', async () => {
    const { code, out } = await models('list')
    expect(code).toBe(0)
    expect(out).toMatch(
      new RegExp(`^pinned +feature-extraction +q8 +sha256:d{16} +hub:owner/name@${commit}$`, 'm'),
    )
    expect(out).toMatch(
      new RegExp(`^local +feature-extraction +fp32 +not pinned +path:${join(folder, 'tiny')}$`, 'm'),
    )
    const [first] = JSON.parse((await models('list', '--json')).out)
    expect(first).toMatchObject({ id: 'pinned', limits: { threads: 2, processes: 1 } })
  })

  test('remove takes one out and leaves the others; an unknown one and the last one stay', async () => {
    expect(await models('remove', 'nope')).toMatchObject({ code: 2 })
    expect(await models('remove', 'pinned')).toMatchObject({ code: 0 })
    expect(written().models).toEqual({ local: { path: 'tiny', dtype: 'fp32' } })
    expect(await models('remove', 'local')).toMatchObject({ code: 1 })
    expect(Object.keys(written().models)).toEqual(['local'])
    expect(existsSync(join(folder, 'tiny'))).toBe(true)
  })

  test('a faulty file is refused by its path, and not changed', async () => {
    writeFileSync(file, '{"models":{"m":{"path":"x","limits":{"threads":0}}}}')
    for (const args of [['list'], ['remove', 'm'], ['add', 'path:tiny']]) {
      expect(await models(...args)).toMatchObject({
        code: 78,
        words: expect.stringContaining('limits.threads'),
      })
    }
    expect(readFileSync(file, 'utf8')).toBe('{"models":{"m":{"path":"x","limits":{"threads":0}}}}')
  })
})
