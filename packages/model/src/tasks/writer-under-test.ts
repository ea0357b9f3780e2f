/** For tests: a tiny model that writes what it sees or hears, with its engine, and the files it is tried on. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Params, Task } from '@millrace/contracts'
import { expect } from 'vitest'
import type { CreateEngine, EncodedItem, Engine } from '../engine.js'
import { type ModelInput, type ModelTask, openTask } from './index.js'

export const fixture = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))

export const referenceOf = (name: string): unknown =>
  JSON.parse(readFileSync(`${fixture(name)}/reference.json`, 'utf8'))

export interface WriterUnderTest {
  readonly task: ModelTask
  readonly engine: Engine
  inputOf(of: { file: string; params: Params }): ModelInput
  /** Runs it, and reads along: what is told goes on where it ended. */
  write(input: ModelInput): Promise<{ output: Float32Array; encoded: EncodedItem; told: string }>
}

export async function openWriter(
  name: string,
  taskName: Task,
  createEngine: CreateEngine,
): Promise<WriterUnderTest> {
  const task = await openTask(fixture(name), taskName)
  const engine = createEngine({
    dir: fixture(name),
    dtype: 'fp32',
    task: taskName,
    output: task.output,
    padTokenId: 0,
    device: 'cpu',
    threads: 1,
    options: {},
  })
  await engine.load()
  return {
    task,
    engine,
    inputOf: ({ file, params }) => ({
      ...task.probe('', 0),
      params,
      bytes: readFileSync(`${fixture('media')}/${file}`),
    }),
    async write(input) {
      const encoded = task.encode(input)
      const follower = task.loaded(0).follow?.(encoded, input)
      let told = ''
      const onTokens = (_place: number, at: number, ids: readonly number[]) => {
        const { text = '' } = follower?.tokens(at, ids) ?? {}
        expect(text.startsWith(told)).toBe(true)
        told = text
      }
      const [output = new Float32Array()] = await engine.run([encoded], { onTokens })
      return { output, encoded, told }
    },
  }
}
