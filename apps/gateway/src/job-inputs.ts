/** What a job's task takes: the inputs of a submit as the strings that are tokenized, and the options that fit. */
import {
  type FieldError,
  fieldError,
  formWords,
  inputFormOf,
  inputForms,
  type JobInput,
  type JobOptions,
  MillraceError,
  maxAnswers,
  maxCandidates,
  optionsOf,
  paramsOf,
  type SubmitJob,
  type Task,
  type TaskContract,
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
  const single = input !== undefined
  const given = single ? [input] : inputs
  const pathOf = (i: number) => (single ? 'input' : `inputs[${i}]`)
  refuseOtherShapes(given, task, pathOf)
  const item = (i: number) => itemOf(given[i] ?? '', pathOf(i))
  const contract: TaskContract = taskContracts[task]
  const cut = truncate || contract.splits === true
  await checkItems({ count: given.length, item, path: 'inputs', truncate: cut, tokenizer }, limits)
  return { inputs: given.map(stringOf), single }
}

function itemOf(given: JobInput, path: string): ItemToCheck {
  const input = stringOf(given)
  if (typeof given === 'string') return { input, path, texts: [{ path, text: input }] }
  return {
    input,
    path,
    texts: fieldsOf(given).map(({ field, text }) => ({ path: `${path}.${field}`, text })),
  }
}

/** What is tokenized, hashed and queued. */
function stringOf(given: JobInput): string {
  if (typeof given === 'string') return given
  const [first, second] = fieldsOf(given)
  return writePair({ first: first?.text ?? '', second: second?.text ?? '' })
}

/** In the form's own order, whatever the client's is: equal pairs are one item. */
function fieldsOf(given: Exclude<JobInput, string>): { field: string; text: string }[] {
  const form = inputFormOf(given)
  const fields: readonly string[] = form === undefined ? [] : inputForms[form]
  const texts = new Map<string, string>(Object.entries(given))
  return fields.map((field) => ({ field, text: texts.get(field) ?? '' }))
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

/** How much of an input its model reads, and how often. */
export function readingOf(
  task: Task,
  { params }: Pick<SubmitOptions, 'params'>,
): { whole: boolean; times: number } {
  const contract: TaskContract = taskContracts[task]
  const labels = params?.candidate_labels
  return { whole: contract.splits === true, times: Array.isArray(labels) ? labels.length : 1 }
}

const mostResults: Readonly<Partial<Record<Task, number>>> = {
  'fill-mask': maxCandidates,
  'question-answering': maxAnswers,
}

/** @throws MillraceError invalid_request for an option of another task or one that is missing, and for too many results */
export function submitOptions(options: JobOptions, task: Task): SubmitOptions {
  const fit = optionsOf(task)
  const unfit = Object.entries(options).find(([name, value]) => value !== undefined && !fit.includes(name))
  if (unfit) {
    const detail = `a ${task} model takes ${fit.join(' and ')}`
    throw fieldError('invalid_request', `options.${unfit[0]}`, detail)
  }
  const { required = [] }: TaskContract = taskContracts[task]
  const missing = required.find((name) => options[name] === undefined)
  if (missing) throw fieldError('invalid_request', `options.${missing}`, `a ${task} model needs it`)
  const most = mostResults[task]
  if (most !== undefined && (options.top_k ?? 0) > most) {
    throw fieldError('invalid_request', 'options.top_k', `a ${task} model gives at most ${most}`)
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
