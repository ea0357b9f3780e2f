import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ConfigError } from './config-error.js'
import { changeModelsFile, readModelsFile } from './models-file-on-disk.js'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-file-'))
  file = join(folder, 'millrace.json')
})
afterEach(() => rmSync(folder, { recursive: true }))
const add = (alias: string, path: string) =>
  changeModelsFile(file, (models) => ({ ...models, [alias]: { path } }))

it('is made where there is none, and changed where it is: the rest stays in its order and words', () => {
  add('first', 'a')
  expect(readFileSync(file, 'utf8')).toBe(
    '{\n  "models": {\n    "first": {\n      "path": "a"\n    }\n  }\n}\n',
  )
  const given = { $schema: './s.json', models: { z: { path: 'z', dtype: 'q8' }, a: { path: 'a' } } } as const
  writeFileSync(file, JSON.stringify(given))
  chmodSync(file, 0o660)
  add('m', 'm')
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
    ...given,
    models: { ...given.models, m: { path: 'm' } },
  })
  expect(Object.keys(readModelsFile(file).models)).toEqual(['z', 'a', 'm'])
  expect(statSync(file).mode & 0o777).toBe(0o660)
  expect(readdirSync(folder)).toEqual(['millrace.json'])
})

it('is as it was where the change is faulty, fails, or cannot be written', () => {
  add('first', 'a')
  const before = readFileSync(file, 'utf8')
  expect(() => add('../x', 'a')).toThrow(ConfigError)
  expect(() =>
    changeModelsFile(file, () => {
      throw new Error('not this one')
    }),
  ).toThrow('not this one')
  expect(readFileSync(file, 'utf8')).toBe(before)
  expect(readdirSync(folder)).toEqual(['millrace.json'])
  expect(() => changeModelsFile(join(folder, 'none', 'x.json'), () => ({ m: { path: 'x' } }))).toThrow(
    /cannot write .*none/,
  )
  mkdirSync(join(folder, 'dir'))
  expect(() => readModelsFile(join(folder, 'dir'))).toThrow(/cannot read/)
})
