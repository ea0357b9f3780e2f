import type { KnownJob } from '@millrace/jobs'
import { expect, test } from 'vitest'
import { newJobId } from './job-id.js'
import { type ReadJobContext, readJob } from './read-job.js'

/** A store whose answers come one after another. */
function storeOf(...answers: (Partial<KnownJob> | undefined)[]) {
  const asked: string[] = []
  const context = {
    store: {
      async read(id: string) {
        asked.push(id)
        return answers.shift()
      },
    },
    now: () => Date.now(),
  } as unknown as ReadJobContext
  return { asked, context }
}

const known = { kind: 'known' as const, tenant: 't', expiresAtMs: Number.POSITIVE_INFINITY }

test('a job whose small record is still on its way is found all the same', async () => {
  const { context, asked } = storeOf(undefined, known)
  expect(await readJob(newJobId(), 't', context)).toEqual(known)
  expect(asked).toHaveLength(2)
})

test('an older job that is not there is asked for once', async () => {
  const { context, asked } = storeOf(undefined, known)
  const old = '01890000-0000-7000-8000-000000000000'
  await expect(readJob(old, 't', context)).rejects.toMatchObject({ code: 'job_not_found' })
  expect(asked).toEqual([old])
})
