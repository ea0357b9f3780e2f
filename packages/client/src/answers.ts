/**
 * What is checked of an answer before it is handed over as it came: what this client decides by, and what no use of the
 * answer survives being wrong. Not every number of every vector: that would cost more than reading them.
 */
import {
  isTerminal,
  type Job,
  type JobList,
  jobListSchema,
  jobSchema,
  type Model,
  modelListSchema,
  type TerminalStatus,
} from '@millrace/contracts'
import { z } from 'zod'
import type { MillraceApiError } from './errors.js'
import { unexpectedAnswer } from './problem.js'
import type { Answer } from './transport.js'

export type SettledJob = Job & { status: TerminalStatus }
export type SucceededJob = Job & { status: 'succeeded'; output: NonNullable<Job['output']> }
/** A job in a list: all of it but the output. */
export type ListedJob = JobList['data'][number]

const jobParts = jobSchema.pick({ id: true, object: true, status: true, progress: true })
const listParts = jobListSchema.extend({ data: z.array(jobParts) })
const modelParts = modelListSchema.extend({
  data: z.array(z.object({ id: z.string(), workers: z.number() })),
})

export function isSettled(job: Job): job is SettledJob {
  return isTerminal(job.status)
}

export function isSucceeded(job: Job): job is SucceededJob {
  return job.status === 'succeeded'
}

/**
 * @param id the job that was asked for, where one was
 * @throws MillraceApiError unexpected_answer
 */
export function jobOf({ response, json }: Answer, id?: string): Job {
  const job = checked<Job>(jobParts, json, response, 'a job')
  if (id !== undefined && job.id.toLowerCase() !== id.toLowerCase()) {
    throw unexpectedAnswer(response, `job ${job.id} instead of ${id}`)
  }
  if (isSucceeded(job) && !isOutput(job.output)) {
    throw unexpectedAnswer(response, `job ${job.id} succeeded without an output`)
  }
  return job
}

/** @throws MillraceApiError unexpected_answer */
export function jobListOf({ response, json }: Answer): JobList {
  return checked<JobList>(listParts, json, response, 'a list of jobs')
}

/** @throws MillraceApiError unexpected_answer */
export function modelsOf({ response, json }: Answer): Model[] {
  return checked<{ data: Model[] }>(modelParts, json, response, 'a list of models').data
}

function isOutput(output: unknown): boolean {
  return typeof output === 'string' || (typeof output === 'object' && output !== null)
}

/** The answer itself, not a copy: fields that a newer server adds stay. */
function checked<T>(parts: z.ZodType, json: unknown, response: Response, what: string): T {
  const result = parts.safeParse(json)
  if (result.success) return json as T
  throw notThis(response, what, result.error)
}

function notThis(response: Response, what: string, error: z.ZodError): MillraceApiError {
  const [issue] = error.issues
  return unexpectedAnswer(
    response,
    `this is not ${what}: ${issue?.path.join('.') || '(all)'}: ${issue?.message}`,
    error,
  )
}
