/** What a job's task takes: the inputs of a submit as the strings that are tokenized, and the options that fit. */
import {
  defaultNewTokens,
  type FieldError,
  fieldError,
  formWords,
  inputFormOf,
  inputForms,
  isGeneration,
  type JobInput,
  type JobOptions,
  MillraceError,
  maxAnswers,
  maxCandidates,
  optionsOf,
  type Params,
  paramsOf,
  type SubmitJob,
  type Task,
  type TaskContract,
  taskContracts,
} from '@millrace/contracts'
import { type TextTokenizer, writeMessages, writePair } from '@millrace/tokenizer'
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
  const contract: TaskContract = taskContracts[task]
  const cut = truncate || contract.splits === true
  await checkItems({ count: given.length, item, path: 'inputs', truncate: cut, tokenizer }, limits)
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
  if (typeof given === 'string') return { input, path, texts: [{ path, text: input }] }
  if ('messages' in given) {
    const texts = given.messages.map(({ content: text }, i) => ({
      path: `${path}.messages[${i}].content`,
      text,
    }))
    return { input, path, texts }
  }
  return {
    input,
    path,
    texts: fieldsOf(given).map(({ field, text }) => ({ path: `${path}.${field}`, text })),
  }
}

/** What is tokenized, hashed and queued. */
function stringOf(given: JobInput): string {
  if (typeof given === 'string') return given
  if ('messages' in given) return writeMessages(given.messages)
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
  const { input: wanted, otherInput }: TaskContract = taskContracts[task]
  const other = otherInput === undefined ? '' : ` or ${formWords(otherInput)}`
  const detail = `this model takes ${formWords(wanted)}${other}`
  const errors: FieldError[] = []
  for (let i = 0; i < given.length && errors.length < maxReportedFaults; i++) {
    const form = inputFormOf(given[i])
    if (form === undefined || (form !== wanted && form !== otherInput)) {
      errors.push({ path: pathOf(i), code: 'invalid_request', detail })
    }
  }
  const [first] = errors
  if (first) throw new MillraceError('invalid_request', `${first.path}: ${first.detail}`, { errors })
}

/** How much of an input its model reads, how often, and how much it may write for it. */
export function readingOf(
  task: Task,
  { params }: Pick<SubmitOptions, 'params'>,
): { whole: boolean; times: number; newTokens: number } {
  const contract: TaskContract = taskContracts[task]
  const labels = params?.candidate_labels
  return {
    whole: contract.splits === true,
    times: Array.isArray(labels) ? labels.length : 1,
    newTokens: Number(params?.max_new_tokens ?? 0),
  }
}

const mostResults: Readonly<Partial<Record<Task, number>>> = {
  'fill-mask': maxCandidates,
  'question-answering': maxAnswers,
}

/**
 * @param limits.maxNewTokens most that may be asked for
 * @throws MillraceError invalid_request for an option of another task or one that is missing, for too many results or tokens
 */
export function submitOptions(
  options: JobOptions,
  task: Task,
  { maxNewTokens }: { maxNewTokens: number },
): SubmitOptions {
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
  const { required = [] }: TaskContract = taskContracts[task]
  const missing = required.find((name) => options[name] === undefined)
  if (missing) throw fieldError('invalid_request', `options.${missing}`, `a ${task} model needs it`)
  const most = mostResults[task]
  if (most !== undefined && (options.top_k ?? 0) > most) {
    throw fieldError('invalid_request', 'options.top_k', `a ${task} model gives at most ${most}`)
  }
  const { truncate, encoding = 'float', top_k: topK, raw_scores: rawScores } = options
  if (isGeneration(task)) refuseOddGeneration(options, maxNewTokens)
  const params = isGeneration(task) ? generationParams(options, task, maxNewTokens) : paramsOf(options, task)
  const unshared = options.do_sample === true && options.seed === undefined
  return {
    truncate,
    ...(Object.keys(params).length === 0 ? {} : { params }),
    ...(unshared ? { unshared } : {}),
    encoding,
    ...(topK === undefined ? {} : { topK }),
    ...(rawScores === undefined ? {} : { rawScores }),
  }
}

/** Options that only drawing heeds. */
const samplingOptions = ['temperature', 'top_k', 'top_p', 'seed'] as const

function refuseOddGeneration(options: JobOptions, maxNewTokens: number): void {
  const { max_new_tokens: most = Math.min(defaultNewTokens, maxNewTokens), min_new_tokens: least = 0 } =
    options
  if (most > maxNewTokens) {
    throw fieldError('invalid_request', 'options.max_new_tokens', `at most ${maxNewTokens} here`)
  }
  if (least > most) {
    throw fieldError('invalid_request', 'options.min_new_tokens', `more than max_new_tokens, ${most}`)
  }
  const idle = samplingOptions.find((name) => options[name] !== undefined)
  if (options.do_sample !== true && idle) {
    throw fieldError('invalid_request', `options.${idle}`, 'means something with do_sample only')
  }
}

function generationParams(options: JobOptions, task: Task, maxNewTokens: number): Params {
  const most = options.max_new_tokens ?? Math.min(defaultNewTokens, maxNewTokens)
  return paramsOf({ ...options, max_new_tokens: most }, task)
}
