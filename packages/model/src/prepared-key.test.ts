import { expect, it } from 'vitest'
import { cpuFlags, type PreparedKeyParts, preparedKey, runtimeVersion } from './prepared-key.js'

const parts: PreparedKeyParts = {
  files: new Map([
    ['config.json', 'aa'],
    ['onnx/model.onnx', 'bb'],
  ]),
  dtype: 'fp32',
  engine: 'transformers-embedding.js',
  runtime: '1.30.0',
  platform: 'linux-x64',
  cpu: 'avx2 fma',
  optimization: 'all',
}

it('the order in which files were digested makes no difference', () => {
  const files = new Map([...parts.files].reverse())
  expect(preparedKey({ ...parts, files })).toBe(preparedKey(parts))
})

it.each<Partial<PreparedKeyParts>>([
  { files: new Map([['config.json', 'aa']]) },
  { dtype: 'q8' },
  { engine: 'other.js' },
  { runtime: '1.30.1' },
  { platform: 'linux-arm64' },
  { cpu: 'avx2' },
  { optimization: 'basic' },
])('another key for %j', (change) => {
  expect(preparedKey({ ...parts, ...change })).not.toBe(preparedKey(parts))
})

it('CPU flags are told whatever their order; ARM calls them features', () => {
  expect(cpuFlags('processor\t: 0\nflags\t\t: fma avx2 \nbugs\t\t: one\n')).toBe('avx2 fma')
  expect(cpuFlags('processor\t: 0\nFeatures\t: fp asimd\n')).toBe('asimd fp')
  expect(cpuFlags('nothing of the kind')).toBeUndefined()
})

it('the version is that of the ONNX Runtime which transformers.js loads', async () => {
  expect(await runtimeVersion()).toMatch(/^\d+\.\d+\.\d+/)
})
