/** Messages as one string, and as the prompt that the Python reference makes of them. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChatMessage } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMessages, readMessages, writeMessages } from './messages.js'
import { loadTextTokenizer } from './text-tokenizer.js'

const dir = fileURLToPath(new URL('../../../models/fixtures/tiny-writer', import.meta.url))
const { chat } = JSON.parse(await readFile(join(dir, 'reference.json'), 'utf8')) as {
  chat: { messages: ChatMessage[]; input_ids: number[] }
}
const user = { role: 'user', content: 'Hi “there”\n日本' }

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-chat-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

describe('the canonical form', () => {
  it('reads back as it was written, whatever order the fields came in', () => {
    const written = writeMessages([user, { content: 'b', role: 'assistant' }])
    expect(isMessages(written)).toBe(true)
    expect(readMessages(written)).toEqual([user, { role: 'assistant', content: 'b' }])
    expect(writeMessages([{ content: user.content, role: user.role }])).toBe(writeMessages([user]))
  })

  it.each([
    '',
    '[]',
    '{}',
    '[{"role":"user"}]',
    '[{"content":"a","role":"user"}]',
    '[{"role":"","content":"a"}]',
    '[ {"role":"user","content":"a"}]',
    'nonsense',
  ])('%j after the mark is none', (text) => {
    expect(() => readMessages(`\u0000messages:${text}`)).toThrowError(/is none/)
  })
})

describe('a model with a template', () => {
  it('reads messages as the reference does', async () => {
    const { encode, count } = await loadTextTokenizer(dir, 'text-generation')
    const input = writeMessages(chat.messages)
    expect([...encode(input, { truncate: false }).ids]).toEqual(chat.input_ids)
    expect(count(input)).toBe(chat.input_ids.length)
  })

  const withTemplate = async (name: string, template: string | null, file?: string) => {
    const copy = join(scratch, name)
    await cp(dir, copy, { recursive: true })
    const config = join(copy, 'tokenizer_config.json')
    const whole = JSON.parse(await readFile(config, 'utf8'))
    await writeFile(config, JSON.stringify({ ...whole, chat_template: template }))
    if (file !== undefined) await writeFile(join(copy, 'chat_template.jinja'), file)
    return loadTextTokenizer(copy, 'text-generation')
  }
  const input = writeMessages([user])

  it('of its own file rather than of tokenizer_config.json, with its special tokens by name', async () => {
    const { encode } = await withTemplate('file', '{{ broken', '{{ bos_token }}mill')
    const plain = await loadTextTokenizer(dir, 'text-generation')
    expect(encode(input, { truncate: false }).ids).toEqual(plain.encode('mill', { truncate: false }).ids)
  })

  it('that refuses says why; one that asks for the date gets none', async () => {
    const refusing = await withTemplate('refusing', "{{ raise_exception('roles must alternate') }}")
    expect(() => refusing.encode(input, { truncate: false })).toThrowError(/roles must alternate/)
    const dated = await withTemplate(
      'dated',
      "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}ok{% endif %}",
    )
    expect(dated.decode([...dated.encode(input, { truncate: false }).ids], { special: true })).toBe('ok')
  })

  it('is needed for messages, and a broken one is said at load', async () => {
    const without = await withTemplate('without', null)
    expect(() => without.encode(input, { truncate: false })).toThrowError('This model has no chat template')
    await expect(withTemplate('broken', '{% if %}')).rejects.toThrowError(
      /chat template of .* is not supported/,
    )
  })
})
