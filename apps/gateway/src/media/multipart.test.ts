import { expect, it } from 'vitest'
import { readMultipart } from './multipart.js'

const request = (form: FormData) => new Request('http://localhost/', { method: 'POST', body: form })
const file = (text: string) => new File([text], 'a.bin')
function form(...fields: [string, string | File][]): FormData {
  const data = new FormData()
  for (const [name, value] of fields) data.append(name, value)
  return data
}
const read = async (data: FormData, maxItems = 4) => {
  const { text, uploads } = await readMultipart(request(data), maxItems)
  return { body: JSON.parse(text), text, uploads }
}

it('one file is an input, and the fields are those of the JSON body', async () => {
  const { body, uploads } = await read(
    form(
      ['model', 'm'],
      ['image', file('bytes')],
      ['options', '{"top_k":2}'],
      ['priority', '3'],
      ['metadata', '{"a":"b"}'],
    ),
  )
  expect(body).toMatchObject({ model: 'm', options: { top_k: 2 }, priority: 3, metadata: { a: 'b' } })
  expect(uploads.get(body.input.image)?.toString()).toBe('bytes')
})

it('many files are inputs in their order, equal ones held once; an address may stand among them', async () => {
  const { body, uploads } = await read(
    form(
      ['image', file('one')],
      ['image', 'https://example.com/x'],
      ['image', file('two')],
      ['image', file('one')],
    ),
  )
  const given = body.inputs.map(({ image }: { image: string }) => uploads.get(image)?.toString() ?? image)
  expect(given).toEqual(['one', 'https://example.com/x', 'two', 'one'])
  expect(uploads.size).toBe(2)
})

it('the same fields and files are the same text, whatever the boundary', async () => {
  const same = () => form(['model', 'm'], ['audio', file('bytes')])
  expect((await read(same())).text).toBe((await read(same())).text)
  expect((await read(same())).text).not.toBe(
    (await read(form(['model', 'm'], ['audio', file('other')]))).text,
  )
})

it.each([
  ['options that are not JSON', form(['options', '{']), 'malformed_json'],
  ['a field given twice', form(['model', 'a'], ['model', 'b']), 'invalid_request'],
  ['a file where none belongs', form(['model', file('x')]), 'invalid_request'],
  ['more parts than a job may hold', form(...Array(30).fill(['image', file('x')])), 'too_many_items'],
])('%s: refused', async (_, data, code) => {
  await expect(read(data)).rejects.toMatchObject({ code })
})

it('a body that is none is refused', async () => {
  const send = (type: string, body: string) =>
    readMultipart(
      new Request('http://localhost/', { method: 'POST', body, headers: { 'content-type': type } }),
      4,
    )
  await expect(send('multipart/form-data', 'x')).rejects.toMatchObject({ code: 'invalid_request' })
  await expect(send('multipart/form-data; boundary=a', 'x')).rejects.toMatchObject({
    code: 'invalid_request',
  })
})
