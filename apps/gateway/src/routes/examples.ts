/** What requests and answers look like in the API description. Tests send the requests and check the answers' shapes. */
import type { Delivery, Job, JobList, Model } from '@millrace/contracts'

export const exampleModel = 'all-MiniLM-L6-v2'
export const exampleId = '0192d3f4-5b6a-7c8d-9e0f-1a2b3c4d5e6f'
const inputs = ['How do I reset my password?', 'I forgot my login.']

/** Vectors are cut to three numbers. */
const vectors = [
  [-0.0276, 0.0461, -0.0129],
  [0.0112, 0.0307, -0.0544],
]

const urls = {
  get: `/v1/jobs/${exampleId}`,
  events: `/v1/jobs/${exampleId}/events`,
  cancel: `/v1/jobs/${exampleId}/cancel`,
}

export const queuedJob: Job = {
  id: exampleId,
  object: 'job',
  status: 'queued',
  model: exampleModel,
  created_at: '2026-03-01T12:00:00.000Z',
  started_at: null,
  completed_at: null,
  expires_at: '2026-03-01T13:10:00.000Z',
  error: null,
  progress: { done: 0, total: 2 },
  queue: { position: 12, eta_ms: 340, workers: 2 },
  metrics: {
    queue_ms: null,
    tokenize_ms: null,
    predict_ms: null,
    batch_size: null,
    cache: { hits: 0, misses: 2, joined: 0 },
  },
  attempts: 0,
  priority: 0,
  metadata: { ticket: '4711' },
  webhook: null,
  urls,
  output: null,
}

export const succeededJob: Job = {
  ...queuedJob,
  status: 'succeeded',
  started_at: '2026-03-01T12:00:00.310Z',
  completed_at: '2026-03-01T12:00:00.342Z',
  expires_at: '2026-03-01T13:00:00.342Z',
  progress: { done: 2, total: 2 },
  queue: null,
  metrics: {
    queue_ms: 310,
    tokenize_ms: 0.2,
    predict_ms: 9.1,
    batch_size: 8,
    cache: { hits: 0, misses: 2, joined: 0 },
  },
  attempts: 1,
  output: vectors,
}

export const canceledJob: Job = {
  ...queuedJob,
  status: 'canceled',
  completed_at: '2026-03-01T12:00:05.000Z',
  expires_at: '2026-03-01T13:00:05.000Z',
  error: { code: 'job_canceled', detail: 'the job was canceled' },
  queue: null,
}

const delivery: Delivery = {
  webhook_id: `${exampleId}-0-job.succeeded`,
  event: 'job.succeeded',
  attempt: 1,
  at: '2026-03-01T12:00:00.420Z',
  outcome: 'delivered',
  status_code: 204,
  error: null,
  next_at: null,
}

export const deliveredJob: Job = {
  ...succeededJob,
  webhook: {
    url: 'https://example.com/hooks/millrace',
    events: ['job.succeeded', 'job.failed'],
    deliveries: [delivery],
  },
}

const { output: _, ...listedJob } = succeededJob
export const jobList: JobList = {
  object: 'list',
  data: [listedJob],
  next_cursor: `0195519a5c00:${exampleId}`,
}

export const submitExamples = {
  many: {
    summary: 'Many inputs: the output is an array in their order',
    value: { model: exampleModel, inputs },
  },
  one: {
    summary: 'One input: the output is one result, here as base64',
    value: { model: exampleModel, input: inputs[0], options: { encoding: 'base64', truncate: true } },
  },
  pairs: {
    summary: 'Pairs, for a rerank model: the output is a score for each',
    value: {
      model: 'tiny-reranker',
      inputs: [{ query: 'Which river drives the mill?', text: 'The Aire drives it.' }],
      options: { raw_scores: true },
    },
  },
  masked: {
    summary: 'A text with a mask, for a fill-mask model: the output is the best candidates for its place',
    value: { model: 'tiny-filler', input: 'The mill stands by the [MASK].', options: { top_k: 2 } },
  },
  entities: {
    summary: 'A text, for a token-classification model: the output is what it names, with the places',
    value: {
      model: 'tiny-tagger',
      input: 'The mill stands by the river.',
      options: { aggregation_strategy: 'first' },
    },
  },
  question: {
    summary: 'A question and where to find its answer, for a question-answering model',
    value: {
      model: 'tiny-reader',
      input: {
        question: 'What drives the wheel?',
        context: 'The mill stands by the river, and the river drives its wheel.',
      },
    },
  },
  labels: {
    summary:
      'A text and labels of your own, for a zero-shot-classification model: the output is their scores',
    value: {
      model: 'tiny-entailer',
      input: 'The parcel came late and the box was broken.',
      options: { candidate_labels: ['delivery', 'password', 'praise'] },
    },
  },
  prompt: {
    summary: 'A prompt, for a text-generation model: the output is what it writes',
    value: {
      model: 'tiny-writer',
      input: 'The mill stands by',
      options: { max_new_tokens: 40, stop: ['\n'] },
    },
  },
  careful: {
    summary: 'Work that may wait, but not for ever, with words of your own',
    value: {
      model: exampleModel,
      inputs,
      priority: 5,
      start_timeout_ms: 60_000,
      timeout_ms: 120_000,
      metadata: { ticket: '4711' },
    },
  },
}

/** A multipart body, as the values of its parts; the bytes of a file are not for reading. */
export const submitFilesExample = {
  model: 'tiny-vit-classifier',
  image: '(the bytes of scene.png)',
  options: '{"top_k":3}',
}

export const classifyExample = { model: 'tiny-classifier', input: ['The parcel came late.', 'ok'], top_k: 2 }

export const classifications = {
  object: 'list',
  model: 'tiny-classifier',
  data: [
    {
      index: 0,
      label: 'complaint',
      probs: [0.04, 0.14, 0.82],
      num_classes: 3,
      labels: [
        { label: 'complaint', score: 0.82 },
        { label: 'question', score: 0.14 },
      ],
    },
    {
      index: 1,
      label: 'praise',
      probs: [0.7, 0.2, 0.1],
      num_classes: 3,
      labels: [
        { label: 'praise', score: 0.7 },
        { label: 'question', score: 0.2 },
      ],
    },
  ],
  usage: { prompt_tokens: 26, total_tokens: 26 },
}

export const rerankExample = {
  model: 'tiny-reranker',
  query: 'Which river drives the mill?',
  documents: ['I forgot my login.', { text: 'The mill stands by the Aire, which drives its wheel.' }],
  top_n: 1,
  return_documents: true,
}

export const ranking = {
  model: 'tiny-reranker',
  results: [
    {
      index: 1,
      relevance_score: 0.97,
      document: { text: 'The mill stands by the Aire, which drives its wheel.' },
    },
  ],
  usage: { prompt_tokens: 78, total_tokens: 78 },
}

export const embeddingsExample = { model: exampleModel, input: inputs }

export const embeddings = {
  object: 'list',
  data: vectors.map((embedding, index) => ({ object: 'embedding', index, embedding })),
  model: exampleModel,
  usage: { prompt_tokens: 16, total_tokens: 16 },
}

/** The last event of a stream. */
export const exampleEvent = {
  id: '1772366400342-0',
  event: 'succeeded' as const,
  data: JSON.stringify(succeededJob),
}

const exampleVersion = 'b0a1c2d3e4f5'
const served = {
  version: exampleVersion,
  dtype: 'q8',
  batching: { mode: 'batched' as const, tokens: 256, items: 32, timeout_ms: 30_000 },
  processes: 1,
  threads: 1,
}

const model: Model = {
  id: exampleModel,
  object: 'model',
  created: 1_772_366_000,
  owned_by: 'local',
  task: 'feature-extraction',
  workers: 2,
  versions: [{ version: exampleVersion, workers: 2 }],
  tokens_per_s: 10_400,
  served_by: [
    { id: 'mill-1-4711-x7f2', started_at: '2026-03-01T11:40:00.000Z', ...served, tokens_per_s: 5300 },
    { id: 'mill-2-4702-b1k9', started_at: '2026-03-01T11:40:02.000Z', ...served, tokens_per_s: 5100 },
  ],
  queue: { waiting: 12, chunks_per_s: 35 },
  facts: {
    version: exampleVersion,
    task: 'feature-extraction',
    dtype: 'q8',
    device: 'cpu',
    dimensions: 384,
    max_tokens: 256,
    batching: {
      mode: 'batched',
      probe_difference: 0.0000021,
      policy: { max_padded_tokens: 256, max_items: 32, found: 'usual', tokens_per_s: null },
    },
  },
}
export const modelList = { object: 'list', data: [model] }

export const readiness = {
  ready: true,
  queue_redis: true,
  cache_redis: true,
  models: { [exampleModel]: { workers: 2 } },
}
