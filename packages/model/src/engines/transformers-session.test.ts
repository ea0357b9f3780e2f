import { describe, expect, it } from 'vitest'
import type { EngineSpec } from '../engine.js'
import { type importTransformers, loadSession } from './transformers-session.js'

const spec: EngineSpec = {
  dir: '/models/mini',
  dtype: 'fp16',
  device: 'cpu',
  task: 'feature-extraction',
  output: { kind: 'pooled', pooling: { mode: 'mean', normalize: true } },
  padTokenId: 0,
  threads: 3,
  options: {},
}

/** What the library is asked for. */
async function asked(change: Partial<EngineSpec>) {
  const calls: { dir: string; options: Record<string, unknown> }[] = []
  const library = {
    AutoModel: {
      from_pretrained: async (dir: string, options: Record<string, unknown>) => {
        calls.push({ dir, options })
        return { sessions: {}, dispose: async () => {} }
      },
    },
  }
  const wanted = { head: 'AutoModel', outputs: ['x'] } as const
  await loadSession(
    library as unknown as ReturnType<typeof importTransformers>,
    { ...spec, ...change },
    wanted,
  )
  return calls[0]
}

describe('a session', () => {
  it.each(['cpu', 'cuda', 'webgpu'] as const)(
    'for the device %s is asked for on that device alone',
    async (device) => {
      expect((await asked({ device }))?.options).toMatchObject({
        device,
        dtype: 'fp16',
        local_files_only: true,
      })
    },
  )

  it('has its threads sleep while they wait, and keeps no memory of the largest batch', async () => {
    expect((await asked({}))?.options.session_options).toMatchObject({
      intraOpNumThreads: 3,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      enableCpuMemArena: false,
      enableMemPattern: false,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    })
  })

  it('is of the prepared file where there is one', async () => {
    expect(await asked({ prepared: '/data/prepared' })).toMatchObject({
      dir: '/data/prepared',
      options: { use_external_data_format: false },
    })
  })
})
