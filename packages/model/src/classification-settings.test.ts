import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { activationOf, labelsOf, readClassificationSettings } from './classification-settings.js'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-classifier-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function settingsOf(config: unknown) {
  await writeFile(join(dir, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config))
  return readClassificationSettings(dir)
}

describe('labels', () => {
  it('are in the order of the logits, whatever the order of the file', async () => {
    const settings = await settingsOf({ id2label: { 2: 'c', 0: 'a', 1: 'b' } })
    expect(labelsOf(settings, 3, dir)).toEqual(['a', 'b', 'c'])
  })

  it('have transformers’ own names where the file has none', async () => {
    expect(labelsOf(await settingsOf({}), 2, dir)).toEqual(['LABEL_0', 'LABEL_1'])
  })

  it('must be as many as the model’s scores', async () => {
    const settings = await settingsOf({ id2label: { 0: 'a', 1: 'b' } })
    expect(() => labelsOf(settings, 3, dir)).toThrow(/names 2 labels; the model gives 3/)
  })

  it('with a gap are refused by the file’s name', async () => {
    await expect(settingsOf({ id2label: { 0: 'a', 2: 'c' } })).rejects.toThrow(/config.json.*no label 1/)
  })

  it('of a broken file are refused by its name', async () => {
    await expect(settingsOf('{')).rejects.toThrow(/config.json is broken/)
    await expect(settingsOf({ id2label: { 0: 7 } })).rejects.toThrow(/config.json is broken/)
  })
})

describe('scores', () => {
  const two = { 0: 'a', 1: 'b' }
  it.each([
    ['shares of 1', { id2label: two }, 'softmax'],
    ['shares of 1, said aloud', { id2label: two, problem_type: 'single_label_classification' }, 'softmax'],
    [
      'each by itself for many labels',
      { id2label: two, problem_type: 'multi_label_classification' },
      'sigmoid',
    ],
    ['each by itself for one label', { id2label: { 0: 'a' } }, 'sigmoid'],
    ['the logits themselves for a regression', { id2label: { 0: 'a' }, problem_type: 'regression' }, 'none'],
  ])('are %s', async (_name, config, activation) => {
    expect(activationOf(await settingsOf(config))).toBe(activation)
  })
})
