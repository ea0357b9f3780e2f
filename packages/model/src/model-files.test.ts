import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findModelFiles } from './model-files.js'
import { digestFiles, modelVersion, type VersionParts } from './model-version.js'
import { readSentenceSettings } from './sentence-settings.js'

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-files-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

async function folder(files: Record<string, string>): Promise<string> {
  const dir = await mkdtemp(join(scratch, 'model-'))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), content)
  }
  return dir
}
const small = { 'config.json': '{}', 'tokenizer.json': '{}', 'tokenizer_config.json': '{}' }

describe('the files of a model', () => {
  it('are the graph of the dtype, its external data, the tokenizer and every settings file that is there', async () => {
    const dir = await folder({
      ...small,
      'modules.json': '[]',
      '1_Pooling/config.json': '{}',
      'onnx/model.onnx': 'g',
      'onnx/model.onnx_data': 'd',
      'onnx/model.onnx_data_1': 'd',
      'onnx/model_quantized.onnx': 'q',
      'README.md': 'never read',
    })
    expect(await findModelFiles(dir, 'fp32', { onnx: true, poolingFile: '1_Pooling/config.json' })).toEqual([
      '1_Pooling/config.json',
      'config.json',
      'modules.json',
      'onnx/model.onnx',
      'onnx/model.onnx_data',
      'onnx/model.onnx_data_1',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
  })

  it('that are missing are all named at once', async () => {
    const dir = await folder({ 'config.json': '{}', 'tokenizer.json': '{}' })
    await expect(findModelFiles(dir, 'q8', { onnx: true })).rejects.toThrow(
      /lacks tokenizer_config.json, onnx\/model_quantized.onnx/,
    )
  })

  it('of a task that takes images or speech are what prepares them, and the words of a speech model', async () => {
    const image = { 'config.json': '{}', 'preprocessor_config.json': '{}', 'onnx/model.onnx': 'g' }
    const task = 'automatic-speech-recognition'
    const wanted = { onnx: true, task } as const
    const files = await findModelFiles(await folder(image), 'fp32', {
      onnx: true,
      task: 'image-classification',
    })
    expect(files).toEqual(['config.json', 'onnx/model.onnx', 'preprocessor_config.json'])
    const speech = { ...image, 'tokenizer_config.json': '{}' }
    const found = (words: Record<string, string>) =>
      folder({ ...speech, ...words }).then((dir) => findModelFiles(dir, 'fp32', wanted))
    expect(await found({ 'vocab.json': '{}', 'tokenizer.json': '{}' })).toContain('vocab.json')
    expect(await found({ 'tokenizer.json': '{}' })).toContain('tokenizer.json')
    await expect(found({})).rejects.toThrow('lacks vocab.json (dtype fp32)')
  })

  it('of a folder that is not there are refused by the folder', async () => {
    await expect(findModelFiles(join(scratch, 'none'), 'q8', { onnx: true })).rejects.toThrow(
      'does not exist',
    )
  })

  it('of an unknown dtype are refused with the known ones', async () => {
    await expect(findModelFiles(scratch, 'q99', { onnx: true })).rejects.toThrow(/no dtype 'q99'.*fp32/)
  })
})

describe('the sentence settings', () => {
  const modules = (...types: string[]) =>
    JSON.stringify(
      types.map((type) => ({ path: type === 'Pooling' ? '1_Pooling' : '', type: `st.models.${type}` })),
    )

  it('without modules.json are the mean, not normalised', async () => {
    const settings = await readSentenceSettings(await folder({}))
    expect(settings.pooling).toEqual({ mode: 'mean', normalize: false })
  })

  it.each([
    ['{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}', 'cls'],
    ['{"pooling_mode_mean_sqrt_len_tokens": true}', 'mean_sqrt_len'],
    ['{"pooling_mode": "max"}', 'max'],
  ])('of %s are %s, normalised where modules.json says so', async (config, mode) => {
    const dir = await folder({
      'modules.json': modules('Transformer', 'Pooling', 'Normalize'),
      '1_Pooling/config.json': config,
    })
    const settings = await readSentenceSettings(dir)
    expect(settings).toEqual({ pooling: { mode, normalize: true }, poolingFile: '1_Pooling/config.json' })
  })

  it.each([
    ['{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true}', /cls \+ max/],
    ['{"pooling_mode_weightedmean_tokens": true}', /weightedmean/],
    ['{"pooling_mode_cls_token": "yes"}', /1_Pooling\/config.json is broken/],
  ])('of %s are refused', async (config, message) => {
    const dir = await folder({
      'modules.json': modules('Transformer', 'Pooling'),
      '1_Pooling/config.json': config,
    })
    await expect(readSentenceSettings(dir)).rejects.toThrow(message)
  })

  it('with a module that is not supported are refused instead of giving other vectors', async () => {
    const dir = await folder({
      'modules.json': modules('Transformer', 'Pooling', 'Dense'),
      '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true}',
    })
    await expect(readSentenceSettings(dir)).rejects.toThrow(/Dense, which is not supported/)
  })

  it('may not point outside the folder', async () => {
    const dir = await folder({ 'modules.json': '[{"path":"../x","type":"a.Pooling"}]' })
    await expect(readSentenceSettings(dir)).rejects.toThrow('inside the folder')
  })
})

describe('the model version', () => {
  const parts: VersionParts = {
    source: 'local',
    revision: '',
    dtype: 'q8',
    device: 'cpu',
    output: { kind: 'pooled', pooling: { mode: 'mean', normalize: true } },
    engine: 'transformers-embedding',
    files: new Map([
      ['a', '1'],
      ['b', '2'],
    ]),
  }

  it('is the same for the same files wherever the folder lies', async () => {
    const versions = []
    for (const dir of [await folder(small), await folder(small)]) {
      versions.push(modelVersion({ ...parts, files: await digestFiles(dir, Object.keys(small)) }))
    }
    expect(versions[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(versions[1]).toBe(versions[0])
  })

  it('does not depend on the order in which files were read', () => {
    const reversed = new Map([...parts.files].reverse())
    expect(modelVersion({ ...parts, files: reversed })).toBe(modelVersion(parts))
  })

  it.each<[string, Partial<VersionParts>]>([
    ['source', { source: 'owner/name' }],
    ['revision', { revision: 'f'.repeat(40) }],
    ['dtype', { dtype: 'fp32' }],
    ['device', { device: 'cuda' }],
    ['pooling', { output: { kind: 'pooled', pooling: { mode: 'cls', normalize: true } } }],
    ['normalising', { output: { kind: 'pooled', pooling: { mode: 'mean', normalize: false } } }],
    ['scores instead of pooling', { output: { kind: 'scores', activation: 'softmax' } }],
    ['engine', { engine: 'fake' }],
    ['file content', { files: new Map([['a', '1']]) }],
    [
      'file name',
      {
        files: new Map([
          ['a', '1'],
          ['c', '2'],
        ]),
      },
    ],
  ])('changes with the %s', (_, change) => {
    expect(modelVersion({ ...parts, ...change })).not.toBe(modelVersion(parts))
  })
})
