/** The API description, held against the gateway that gives it. */
import {
  classificationListSchema,
  classifySchema,
  createEmbeddingsSchema,
  embeddingListSchema,
  jobListSchema,
  jobSchema,
  modelListSchema,
  rerankListSchema,
  rerankSchema,
  submitJobSchema,
} from '@millrace/contracts'
import { eventually } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { FakeWorker, fakeClassifier, fakeReranker } from './fake-worker.js'
import { bodyOf, everyTask, GatewayUnderTest, model } from './gateway-under-test.js'
import { EventStream } from './read-event-stream.js'
import { tags } from './routes/answers.js'
import { multipartSchema } from './routes/multipart-schema.js'

interface MediaType {
  schema: { $ref?: string; type?: string }
  example?: unknown
  examples?: Record<string, { summary: string; value: unknown }>
}
interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required: boolean
  description?: string
  schema: { example?: unknown }
}
interface Operation {
  summary: string
  tags: string[]
  security: Record<string, string[]>[]
  parameters?: Parameter[]
  requestBody?: { content: Record<string, MediaType> }
  responses: Record<string, { description: string; content?: Record<string, MediaType> }>
}
interface Document {
  tags: { name: string }[]
  components: { securitySchemes: unknown }
  paths: Record<string, Record<string, Operation>>
}

let site: GatewayUnderTest
let worker: FakeWorker
let others: FakeWorker[]
let document: Document
let operations: { name: string; method: string; path: string; operation: Operation }[]

beforeAll(async () => {
  site = await GatewayUnderTest.start(everyTask)
  const { url } = site.queue
  worker = await FakeWorker.start(url)
  others = await Promise.all([fakeClassifier, fakeReranker].map((one) => FakeWorker.start(url, one)))
  document = await bodyOf(await site.call('/openapi.json'))
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      operation,
    })),
  )
})
afterAll(async () => {
  await worker?.stop()
  await Promise.all((others ?? []).map((other) => other.stop()))
  await site?.stop()
})

/** What a component's examples have to fit. */
const schemas: Record<string, z.ZodType> = {
  SubmitJob: submitJobSchema,
  SubmitFiles: multipartSchema,
  CreateEmbeddings: createEmbeddingsSchema,
  Classify: classifySchema,
  Rerank: rerankSchema,
  Job: jobSchema,
  JobList: jobListSchema,
  EmbeddingList: embeddingListSchema,
  ClassificationList: classificationListSchema,
  RerankList: rerankListSchema,
  ModelList: modelListSchema,
}
const examplesOf = ({ example, examples }: MediaType): unknown[] => [
  ...(example === undefined ? [] : [example]),
  ...Object.values(examples ?? {}).map(({ value }) => value),
]
const succeeded = ({ responses }: Operation) =>
  Object.entries(responses).filter(([status]) => status.startsWith('2'))

describe('every route', () => {
  test('is in the description, under a tag that is described', () => {
    expect(operations.map(({ name }) => name).sort()).toEqual([
      'GET /livez',
      'GET /readyz',
      'GET /v1/jobs',
      'GET /v1/jobs/{id}',
      'GET /v1/jobs/{id}/events',
      'GET /v1/models',
      'POST /v1/classify',
      'POST /v1/embeddings',
      'POST /v1/jobs',
      'POST /v1/jobs/{id}/cancel',
      'POST /v1/jobs/{id}/retry',
      'POST /v1/jobs/{id}/webhook/redeliver',
      'POST /v1/rerank',
      'PUT /v1/jobs/{id}',
    ])
    expect(document.tags).toEqual(tags)
    const names = tags.map(({ name }) => name)
    for (const { name, operation } of operations) {
      expect([name, operation.tags.length, names.includes(operation.tags[0] ?? '')]).toEqual([name, 1, true])
    }
  })

  test('says whether it needs a key, and what it answers without', () => {
    expect(document.components.securitySchemes).toMatchObject({ bearer: { type: 'http', scheme: 'bearer' } })
    for (const { name, path, operation } of operations) {
      const needs = path.startsWith('/v1/')
      expect([name, operation.security]).toEqual([name, needs ? [{ bearer: [] }, {}] : []])
      const { responses } = operation
      expect([name, '401' in responses, '403' in responses]).toEqual([name, needs, needs])
    }
  })

  test('offers no way without a key where keys are required', async () => {
    const strict = await site.another({ KEYS_REQUIRED: 'true' })
    const { paths }: Document = await bodyOf(await fetch(`${strict.url}/openapi.json`))
    for (const [path, methods] of Object.entries(paths)) {
      const expected = path.startsWith('/v1/') ? [{ bearer: [] }] : []
      for (const { security } of Object.values(methods)) expect([path, security]).toEqual([path, expected])
    }
    await strict.close()
  })

  test('has examples of its requests and of its good answers, each fit for its schema', () => {
    for (const { name, operation } of operations) {
      const bodies = Object.values(operation.requestBody?.content ?? {})
      const answers = succeeded(operation).flatMap(([, { content }]) => Object.values(content ?? {}))
      expect([name, answers.length > 0]).toEqual([name, true])
      for (const media of [...bodies, ...answers]) {
        const examples = examplesOf(media)
        expect([name, examples.length > 0]).toEqual([name, true])
        const schema = schemas[media.schema.$ref?.split('/').at(-1) ?? '']
        for (const example of examples) {
          expect([name, schema?.safeParse(example).error]).toEqual([name, undefined])
        }
      }
    }
  })

  test('explains each of its parameters, by an example too', () => {
    for (const { name, operation } of operations) {
      for (const { name: parameter, description, schema } of operation.parameters ?? []) {
        expect([name, parameter, typeof description]).toEqual([name, parameter, 'string'])
        expect([name, parameter, schema.example !== undefined]).toEqual([name, parameter, true])
      }
    }
  })

  test('names the request headers that it reads', () => {
    const headers = Object.fromEntries(
      operations.map(({ name, operation }) => [
        name,
        operation.parameters?.filter((parameter) => parameter.in === 'header').map((header) => header.name),
      ]),
    )
    expect(headers).toMatchObject({
      'POST /v1/jobs': ['Prefer', 'Idempotency-Key'],
      'PUT /v1/jobs/{id}': ['Prefer'],
      'GET /v1/jobs/{id}': ['Prefer'],
      'GET /v1/jobs/{id}/events': ['Last-Event-ID'],
    })
  })
})

describe('every example of a request, sent as it is, is answered as described', () => {
  /** A job in the state that a route works on. */
  async function jobFor(path: string): Promise<string> {
    worker.reset()
    if (path.endsWith('/cancel')) worker.hold()
    worker.fails = () => path.endsWith('/retry')
    const webhook = path.endsWith('/redeliver') ? { webhook: { url: 'https://93.184.216.34/hook' } } : {}
    const { id } = await bodyOf(await site.post({ model, input: 'for an example', ...webhook }))
    if (path.endsWith('/cancel')) return id
    await eventually(async () => (await bodyOf(await site.call(`/v1/jobs/${id}`))).completed_at !== null)
    return id
  }

  /** With every parameter of the example set, or only those that are needed. */
  async function send(path: string, method: string, operation: Operation, body: unknown, all: boolean) {
    const headers: Record<string, string> = {}
    const query = new URLSearchParams()
    let filled = path
    for (const { name, in: where, required, schema } of operation.parameters ?? []) {
      const value = String(schema.example)
      if (where === 'path')
        filled = filled.replace(`{${name}}`, method === 'PUT' ? value : await jobFor(path))
      else if (!all && !required) continue
      else if (where === 'header') headers[name] = value
      else query.set(name, value)
    }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const text = body === undefined ? null : JSON.stringify(body)
    return site.call(`${filled}?${query}`, { method, headers, body: text })
  }

  async function check(name: string, operation: Operation, response: Response): Promise<void> {
    const described = operation.responses[response.status]
    expect([name, response.status, response.status < 300]).toEqual([name, response.status, true])
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
    const media = described?.content?.[type]
    expect([name, type, media !== undefined]).toEqual([name, type, true])
    if (type === 'text/event-stream') {
      const { id, type: event } = (await new EventStream(response).rest()).at(-1) ?? {}
      expect({ id, event, data: '' }).toMatchObject({ id: expect.any(String), event: 'succeeded' })
      return
    }
    if (type !== 'application/json') return
    const answer = await bodyOf(response)
    schemas[media?.schema.$ref?.split('/').at(-1) ?? '']?.parse(answer)
    // An example that lacks a field, or has one too many, is out of date.
    expect([name, Object.keys(answer).sort()]).toEqual([name, Object.keys(media?.example as object).sort()])
  }

  test.each([
    ['with nothing but what is needed', false],
    ['with all that can be said', true],
  ])('%s', async (_name, all) => {
    for (const { name, method, path, operation } of operations) {
      const media = operation.requestBody?.content['application/json']
      const bodies = media ? examplesOf(media) : [undefined]
      worker.reset()
      for (const body of bodies) {
        // The id and the key of the examples belong to one body only.
        const first = body === bodies[0]
        if (!first && (all || method === 'PUT')) continue
        await check(name, operation, await send(path, method, operation, body, all))
      }
    }
  })
})
