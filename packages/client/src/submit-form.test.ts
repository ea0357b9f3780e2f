import { expect, it } from 'vitest'
import { Millrace } from './millrace.js'
import { submitForm } from './submit-form.js'

const file = (text: string) => new Blob([text])

it('fields are parts as the gateway reads them, and files keep their order', async () => {
  const form = submitForm({
    model: 'm',
    options: { top_k: 1 },
    priority: 3,
    image: [file('one'), file('two')],
  })
  expect([form.get('model'), form.get('options'), form.get('priority')]).toEqual(['m', '{"top_k":1}', '3'])
  expect(await Promise.all(form.getAll('image').map((one) => (one as File).text()))).toEqual(['one', 'two'])
  expect([...submitForm({ model: 'm', audio: file('x') }).keys()]).toEqual(['model', 'audio'])
})

it('a form is sent as one, under a key, and tried again where the gateway is busy', async () => {
  const sent: Request[] = []
  const client = new Millrace({
    baseUrl: 'http://gateway.test',
    clock: { now: () => 0, sleep: async () => {}, random: () => 0.5 },
    fetch: async (url, init) => {
      sent.push(new Request(url, init))
      return new Response('{}', { status: sent.length === 1 ? 503 : 418 })
    },
  })
  await expect(client.submitFiles({ model: 'm', image: file('x') })).rejects.toBeInstanceOf(Error)
  const keys = new Set(sent.map(({ headers }) => headers.get('idempotency-key')))
  expect(keys.size).toBe(1)
  for (const request of sent) {
    expect(request.headers.get('content-type')).toMatch(/^multipart\/form-data; boundary=/)
    expect((await request.formData()).get('model')).toBe('m')
  }
})
