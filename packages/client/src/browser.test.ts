/** That a browser can load this package: what the built files import, followed through the contracts. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const entry = fileURLToPath(new URL('../dist/index.js', import.meta.url))
const contracts = createRequire(import.meta.url).resolve('@millrace/contracts')
const imported = /(?:\bfrom|\bimport|\brequire\s*\()\s*\(?\s*['"]([^'"]+)['"]/g

/** Every file that is reached, and every package that is not ours. */
function reach(file: string, files = new Set<string>(), packages = new Set<string>()) {
  if (files.has(file)) return { files, packages }
  files.add(file)
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(imported)) {
    if (name.startsWith('.')) reach(join(dirname(file), name), files, packages)
    else if (name === '@millrace/contracts') reach(contracts, files, packages)
    else packages.add(name)
  }
  return { files, packages }
}

test('the built client needs zod, the event parser, and nothing of Node', () => {
  const { files, packages } = reach(entry)
  expect([...packages].sort()).toEqual(['eventsource-parser', 'zod'])
  expect(files).toContain(contracts)
  const text = [...files].map((file) => readFileSync(file, 'utf8')).join('\n')
  expect(text).not.toMatch(/\b(process|Buffer|__dirname|setImmediate)\b\s*[.([]/)
})
