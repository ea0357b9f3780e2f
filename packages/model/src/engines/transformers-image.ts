/**
 * Images with transformers.js on ONNX Runtime: scores of an image classifier, or the vector that a vision model has for
 * the whole image. Preprocessed as preprocessor_config.json says. Reads one local folder and never the network.
 */
import { activate } from '../activation.js'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import { gradientPng } from '../tasks/image-inputs.js'
import { type DecodeImage, imageDecoder } from './image-decoder.js'
import { loadProcessor, type Processor } from './image-processor.js'
import { importTransformers, type LoadedSession, loadSession } from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersImage(spec)

class TransformersImage implements Engine {
  readonly #spec: EngineSpec
  #session: LoadedSession | undefined
  #decode: DecodeImage | undefined
  #process: Processor | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
  }

  async load(): Promise<EngineFacts> {
    const transformers = importTransformers({ images: true })
    const spec = this.#spec
    this.#decode = imageDecoder(transformers, Number(spec.options.maxImagePixels ?? Number.MAX_SAFE_INTEGER))
    this.#process = await loadProcessor(transformers, spec.dir)
    this.#session = await loadSession(
      transformers,
      spec,
      spec.output.kind === 'scores'
        ? { head: 'AutoModelForImageClassification', outputs: ['logits'] }
        : { head: 'AutoModel', outputs: ['image_embeds', 'pooler_output', 'last_hidden_state'] },
    )
    // Shows how long a vector is, and pays for first-run allocations now.
    const [first] = await this.run([{ ids: new Int32Array(), extra: { bytes: gradientPng(32, 32, 0) } }])
    if (first === undefined || first.length === 0) throw new Error('The model gives no number for an image')
    return { dimensions: first.length }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    const [session, decode, process] = [this.#session, this.#decode, this.#process]
    if (!session || !decode || !process) throw new Error('The engine is not loaded')
    const images = []
    // One after the other: each is some megabytes while it is decoded, and small once it is resized.
    for (const { extra } of batch) images.push(await process(await decode(extra?.bytes)))
    const output = await session.runImages(images)
    try {
      const [count, second = 0, third = 1, ...more] = output.dims
      if (count !== batch.length || second === 0 || more.length > 0) {
        throw new Error(`The model's output has the shape [${output.dims}], not [${batch.length}, n]`)
      }
      // Of [images, patches, n] the first patch is the class token, which stands for the whole image.
      const width = output.dims.length === 3 ? third : second
      const stride = output.data.length / batch.length
      const vectors = batch.map((_, row) => this.#vectorOf(output.data, row * stride, width))
      if (!vectors.every((vector) => vector.every(Number.isFinite))) throw new Error('A number is not finite')
      return vectors
    } finally {
      output.dispose()
    }
  }

  #vectorOf(data: Float32Array, start: number, width: number): Float32Array {
    const { output: rule } = this.#spec
    const numbers = data.subarray(start, start + width)
    return rule.kind === 'scores' ? activate(numbers, rule.activation) : numbers.slice()
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.dispose()
  }
}
