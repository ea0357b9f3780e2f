/**
 * A decoder graph with its keys and values ("past"), as Optimum exports it: each step feeds the new tokens alone and gets
 * the logits of the last one. One sequence at a time; of tokens it knows ids only. Names of inputs and outputs: `past_key_values.*`
 * becomes `present.*` (transformers.js, src/models/modeling_utils.js, getPastKeyValues).
 */
import type { InferenceSession, OnnxValue, Tensor, TensorConstructor } from 'onnxruntime-common'

type Feeds = Record<string, Tensor>

export interface DecoderOptions {
  readonly tensor: TensorConstructor
  readonly session: InferenceSession
  /** The position of the first token. */
  readonly firstPosition: number
}

/** An input that stands for one sequence's keys or values. */
interface PastInput {
  readonly name: string
  readonly output: string
  readonly type: Tensor.Type
  /** With 0 where the length goes. */
  readonly emptyDims: readonly number[]
  /** Of the encoder's output: the same at every step, so what the first step gives is kept. */
  readonly constant: boolean
}

const fed = [
  'input_ids',
  'attention_mask',
  'position_ids',
  'use_cache_branch',
  'encoder_hidden_states',
  'encoder_attention_mask',
  'num_logits_to_keep',
  'logits_to_keep',
]

export class CachedDecoder {
  readonly #options: DecoderOptions
  readonly #inputs: ReadonlySet<string>
  readonly #past: readonly PastInput[]

  /** @throws Error naming what the graph has that a decoder with keys and values has not, or lacks */
  constructor(options: DecoderOptions) {
    this.#options = options
    const { inputNames, inputMetadata, outputNames } = options.session
    this.#inputs = new Set(inputNames)
    this.#past = inputMetadata.flatMap((input) => pastInput(input) ?? [])
    if (this.#past.length === 0) {
      throw new Error('The model has no past_key_values: it was exported without a cache ("-with-past")')
    }
    const pastNames = this.#past.map(({ name }) => name)
    const unknown = inputNames.find((name) => !fed.includes(name) && !pastNames.includes(name))
    if (unknown !== undefined)
      throw new Error(`The decoder has the input '${unknown}', which is not supported`)
    const missing = ['logits', ...this.#past.map(({ output }) => output)].find(
      (name) => !outputNames.includes(name),
    )
    if (missing !== undefined) throw new Error(`The decoder has no output '${missing}'`)
  }

  /** @param fixed inputs that are the same at every step; the caller's own to dispose of */
  begin(fixed: Feeds = {}): CachedSequence {
    const taken = Object.fromEntries(Object.entries(fixed).filter(([name]) => this.#inputs.has(name)))
    return new CachedSequence(this.#options, this.#inputs, this.#past, taken)
  }
}

/** One sequence and its keys and values. */
export class CachedSequence {
  readonly #options: DecoderOptions
  readonly #inputs: ReadonlySet<string>
  readonly #pastInputs: readonly PastInput[]
  readonly #fixed: Feeds
  readonly #past = new Map<string, Tensor>()
  #length = 0

  constructor(
    options: DecoderOptions,
    inputs: ReadonlySet<string>,
    pastInputs: readonly PastInput[],
    fixed: Feeds,
  ) {
    this.#options = options
    this.#inputs = inputs
    this.#pastInputs = pastInputs
    this.#fixed = fixed
    for (const { name, type, emptyDims } of pastInputs) {
      this.#past.set(name, new options.tensor(type, emptyData(type), emptyDims))
    }
  }

  /** @param ids the tokens that are new. @returns a copy of the last one's logits */
  async step(ids: readonly number[] | Int32Array): Promise<Float32Array> {
    const feeds = this.#feeds(ids)
    const outputs = await this.#options.session.run({
      ...feeds,
      ...this.#fixed,
      ...Object.fromEntries(this.#past),
    })
    for (const tensor of Object.values(feeds)) tensor.dispose()
    const first = this.#length === 0
    this.#length += ids.length
    const { logits, ...others } = outputs as Record<string, Tensor>
    this.#keep(others, first)
    if (!(logits?.data instanceof Float32Array)) {
      throw new Error(`The model's logits are ${logits?.type}, not float32`)
    }
    const vocabulary = logits.dims.at(-1) ?? 0
    const last = logits.data.slice(-vocabulary)
    logits.dispose()
    return last
  }

  dispose(): void {
    for (const tensor of this.#past.values()) tensor.dispose()
    this.#past.clear()
  }

  #feeds(ids: readonly number[] | Int32Array): Feeds {
    const { tensor: OnnxTensor, firstPosition } = this.#options
    const count = ids.length
    const total = this.#length + count
    const whole = (values: ArrayLike<number>, dims: readonly number[]) =>
      new OnnxTensor(
        'int64',
        BigInt64Array.from(values as ArrayLike<number> & Iterable<number>, BigInt),
        dims,
      )
    const all: Record<string, () => Tensor> = {
      input_ids: () => whole(ids, [1, count]),
      attention_mask: () => new OnnxTensor('int64', new BigInt64Array(total).fill(1n), [1, total]),
      position_ids: () =>
        whole(
          Array.from({ length: count }, (_, place) => firstPosition + this.#length + place),
          [1, count],
        ),
      use_cache_branch: () => new OnnxTensor('bool', Uint8Array.of(this.#length > 0 ? 1 : 0), [1]),
      num_logits_to_keep: () => whole([1], []),
      logits_to_keep: () => whole([1], []),
    }
    return Object.fromEntries(
      Object.entries(all).flatMap(([name, make]) =>
        this.#inputs.has(name) && !(name in this.#fixed) ? [[name, make()]] : [],
      ),
    )
  }

  #keep(outputs: Record<string, OnnxValue>, first: boolean): void {
    for (const { name, output, constant } of this.#pastInputs) {
      const present = outputs[output] as Tensor
      if (constant && !first) {
        present.dispose()
        continue
      }
      this.#past.get(name)?.dispose()
      this.#past.set(name, present)
    }
  }
}

/** @throws Error where its shape is none that is known ahead */
function pastInput(input: InferenceSession.ValueMetadata): PastInput | undefined {
  const { name } = input
  if (!name.startsWith('past_key_values.') || !input.isTensor) return undefined
  const constant = name.includes('.encoder.')
  // [batch, heads, length, size of a head]: the first and the third have names, the others numbers.
  const emptyDims = input.shape.map((dim, place) => (typeof dim === 'number' ? dim : place === 0 ? 1 : 0))
  const named = input.shape.filter((dim) => typeof dim !== 'number').length
  if (input.shape.length !== 4 || named !== 2 || emptyDims[0] !== 1) {
    throw new Error(`The decoder's input '${name}' has the shape [${input.shape}], which is not supported`)
  }
  return { name, output: name.replace('past_key_values', 'present'), type: input.type, emptyDims, constant }
}

/** @throws Error for another type than keys and values have */
function emptyData(type: Tensor.Type): Float32Array | Uint16Array {
  if (type === 'float32') return new Float32Array()
  if (type === 'float16') return new Uint16Array()
  throw new Error(`Keys and values of the type ${type} are not supported`)
}
