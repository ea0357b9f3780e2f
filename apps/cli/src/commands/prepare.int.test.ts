import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '@millrace/config'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { commandRun } from '../stand-in/command-run.js'
import { prepareCommand } from './prepare.js'

// Model processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

const starter = fileURLToPath(new URL('../../../../models/all-MiniLM-L6-v2', import.meta.url))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-prepare-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The command beside a millrace.json that names these folders. */
async function prepare(models: Record<string, string>, ...args: string[]) {
  const file = join(folder, 'millrace.json')
  const entries = Object.entries(models).map(([alias, path]) => [alias, { path }])
  writeFileSync(file, JSON.stringify({ models: Object.fromEntries(entries) }))
  const run = commandRun()
  const settings = () => loadConfig({ MILLRACE_CONFIG: file, MILLRACE_DATA_DIR: folder })
  const end = await run.end(prepareCommand(run.io, settings), args)
  return { ...end, out: run.out() }
}

/** The starter model with a graph that is none. */
function brokenModel(): string {
  const broken = join(folder, 'broken')
  cpSync(starter, broken, { recursive: true })
  writeFileSync(join(broken, 'onnx/model_quantized.onnx'), 'not a graph')
  return broken
}

test('a model that loads and passes its self-test is shown as it was found to be', async () => {
  const { code, out } = await prepare({ starter })
  expect(code).toBe(0)
  const [head, row] = out.split('\n')
  expect(head).toMatch(/^MODEL +TASK +DTYPE +NUMBERS +TOKENS +BATCHES +VERSION +READY$/)
  expect(row).toMatch(
    /^starter +feature-extraction +q8 +384 +256 +(batched|one at a time) +[0-9a-f]{16} +[\d.]+ s$/,
  )
})

test('one that does not load costs no other: its sentence, the rest as JSON, exit code 1', async () => {
  const { code, words, out } = await prepare({ broken: brokenModel(), starter }, '--json')
  expect(code).toBe(1)
  expect(words).toMatch(/^broken: .*\S/)
  expect(words).not.toMatch(/\n\s+at /)
  const [broken, good] = JSON.parse(out)
  expect(broken).toEqual({ id: 'broken', error: expect.any(String) })
  expect(good).toMatchObject({ id: 'starter', dimensions: 384, version: expect.stringMatching(/^\w{64}$/) })
})

test('a folder that lacks files is named together with what it lacks', async () => {
  const { code, words, out } = await prepare({ empty: folder })
  expect(code).toBe(1)
  expect(words).toBe(
    `empty: The model folder ${folder} lacks config.json, tokenizer.json, tokenizer_config.json, ` +
      'onnx/model_quantized.onnx (dtype q8)',
  )
  expect(out).toBe('')
})

test('only the models that are asked for are prepared', async () => {
  const { code, out } = await prepare({ empty: folder, starter }, '--model', 'starter', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject([{ id: 'starter' }])
})

test('a model that millrace.json has not is asked for in a wrong way', async () => {
  const { code, words } = await prepare({ starter }, '--model', 'starter', '--model', 'other')
  expect(code).toBe(2)
  expect(words).toContain("no 'other'")
})
