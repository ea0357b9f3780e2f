import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ContentKeyParts, contentKey, keyMaker } from './content-key.js'

const parts: ContentKeyParts = {
  scope: 'shared',
  modelVersion: 'v1',
  task: 'feature-extraction',
  options: { truncate: false },
  input: 'hello',
}

describe('content key', () => {
  it('stays the same from release to release, or every cache is lost', () => {
    expect(contentKey(parts)).toBe('uxQ7Lpy63efiUy1UWalaqPcnIAv9yOmWvxcfR_FsbVA')
  })

  it.each([
    ['scope', { scope: 'other' }],
    ['model version', { modelVersion: 'v2' }],
    ['options', { options: { truncate: true } }],
    ['input', { input: 'hello ' }],
  ])('differs by %s', (_name, change) => {
    expect(contentKey({ ...parts, ...change })).not.toBe(contentKey(parts))
  })

  it('does not depend on the order in which options were written', () => {
    const one = contentKey({ ...parts, options: { a: 1, b: 2 } })
    expect(contentKey({ ...parts, options: { b: 2, a: 1 } })).toBe(one)
  })

  it('never reads two different lists of parts as one', () => {
    const text = fc.string({ maxLength: 6, unit: fc.constantFrom('a', ':', ';', '1', 'é') })
    fc.assert(
      fc.property(text, text, text, text, (scope, modelVersion, otherScope, otherVersion) => {
        fc.pre(scope !== otherScope || modelVersion !== otherVersion)
        const one = contentKey({ ...parts, scope, modelVersion })
        expect(contentKey({ ...parts, scope: otherScope, modelVersion: otherVersion })).not.toBe(one)
      }),
    )
  })

  it('is the same whether made one by one or by a key maker', () => {
    const { input, ...shared } = parts
    expect(keyMaker(shared)(input)).toBe(contentKey(parts))
  })
})
