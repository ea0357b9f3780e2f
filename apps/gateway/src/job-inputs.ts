/** What a job's task takes: the inputs of a submit as the strings that are tokenized, and the options that fit. */
import {
  type FieldError,
  fieldError,
  formWords,
  inputFormOf,
  type JobInput,
  type JobOptions,
  MillraceError,
  maxCandidates,
  optionsOf,
  paramsOf,
  type SubmitJob,
  type Task,
  taskContracts,
} from '@millrace/contracts'
import { type TextTokenizer, writePair } from '@millrace/tokenizer'
import { checkItems, type InputLimits, type ItemToCheck } from './check-inputs.js'
import { maxReportedFaults } from './error-response.js'
import type { SubmitOptions } from './submit.js'

export interface JobInputs {
  inputs: string[]
  /** Whether the client gave `input`. */
  single: boolean
  /** Files of the inputs that are images or recordings. */
  blobs?: ReadonlyMap<string, Buffer>
}

/**
 * @param tokenizer of the model, where this gateway has its files
 * @throws MillraceError invalid_request for another shape than the task's; empty_input, too_many_items, input_too_long,
 * invalid_input
 */
export async function jobInputs(
  { input, inputs = [], options: { truncate } }: Pick<SubmitJob, 'input' | 'inputs' | 'options'>,
  task: Task,
  tokenizer: TextTokenizer | undefined,
  limits: InputLimits,
): Promise<JobInputs> {
  const { given, single, pathOf } = givenInputs({ input, inputs }, task)
  const item = (i: number) => itemOf(given[i] ?? '', pathOf(i))
  await checkItems({ count: given.length, item, path: 'inputs', truncate, tokenizer }, limits)
  return { inputs: given.map(stringOf), single }
}

/** @throws MillraceError invalid_request for another shape than the task's */
export function givenInputs(
  { input, inputs = [] }: Pick<SubmitJob, 'input' | 'inputs'>,
  task: Task,
): { given: readonly JobInput[]; single: boolean; pathOf: (i: number) => string } {
  const single = input !== undefined
  const given = single ? [input] : inputs
  const pathOf = (i: number) => (single ? 'input' : `inputs[${i}]`)
  refuseOtherShapes(given, task, pathOf)
  return { given, single, pathOf }
}

function itemOf(given: JobInput, path: string): ItemToCheck {
  const input = stringOf(given)
  if (typeof given === 'string' || !('query' in given)) return { input, path, texts: [{ path, text: input }] }
  const texts = [
    { path: `${path}.query`, text: given.query },
    { path: `${path}.text`, text: given.text },
  ]
  return { input, path, texts }
}

/** What is tokenized, hashed and queued. */
function stringOf(given: JobInput): string {
  if (typeof given === 'string') return given
  if ('query' in given) return writePair({ first: given.query, second: given.text })
  throw new Error('an image or a recording is read by media-inputs.ts')
}

function refuseOtherShapes(given: readonly JobInput[], task: Task, pathOf: (i: number) => string): void {
  const wanted = taskContracts[task].input
  const detail = `this model takes ${formWords(wanted)}`
  const errors: FieldError[] = []
  for (let i = 0; i < given.length && errors.length < maxReportedFaults; i++) {
    if (inputFormOf(given[i]) !== wanted) errors.push({ path: pathOf(i), code: 'invalid_request', detail })
  }
  const [first] = errors
  if (first) throw new MillraceError('invalid_request', `${first.path}: ${first.detail}`, { errors })
}

/** @throws MillraceError invalid_request for an option of another task, and for too many candidates */
export function submitOptions(options: JobOptions, task: Task): SubmitOptions {
  const fit = optionsOf(task)
  // `truncate` is false where nobody gave it.
  const given = Object.entries(options).filter(
    ([name, value]) => value !== (name === 'truncate' ? false : undefined),
  )
  const unfit = given.find(([name]) => !fit.includes(name))
  if (unfit) {
    const detail = `a ${task} model takes ${fit.join(' and ')}`
    throw fieldError('invalid_request', `options.${unfit[0]}`, detail)
  }
  if (task === 'fill-mask' && (options.top_k ?? 0) > maxCandidates) {
    throw fieldError('invalid_request', 'options.top_k', `a fill-mask model gives at most ${maxCandidates}`)
  }
  const { truncate, encoding = 'float', top_k: topK, raw_scores: rawScores } = options
  const params = paramsOf(options, task)
  return {
    truncate,
    ...(Object.keys(params).length === 0 ? {} : { params }),
    encoding,
    ...(topK === undefined ? {} : { topK }),
    ...(rawScores === undefined ? {} : { rawScores }),
  }
}
