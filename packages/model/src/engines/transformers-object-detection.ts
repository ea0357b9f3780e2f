/**
 * Objects of an image with transformers.js on ONNX Runtime: detectors whose last class means that there is nothing (DETR,
 * YOLOS). One image at a time. Reads one local folder and never the network.
 */
import { objectRows } from '../detections.js'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import { gradientPng } from '../tasks/image-inputs.js'
import { type DecodeImage, imageDecoder } from './image-decoder.js'
import { loadProcessor, type Processor } from './image-processor.js'
import { importTransformers, type LoadedSession, loadSession } from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersObjectDetection(spec)

class TransformersObjectDetection implements Engine {
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
    this.#session = await loadSession(transformers, spec, {
      head: 'AutoModelForObjectDetection',
      outputs: ['logits', 'pred_boxes'],
    })
    // Shows that the model is of this kind, and pays for first-run allocations now.
    await this.run([{ ids: new Int32Array(), extra: { bytes: gradientPng(64, 64, 0) } }])
    return { dimensions: 0 }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    const found = []
    for (const item of batch) found.push(await this.#detect(item))
    return found
  }

  async #detect({ extra }: EncodedItem): Promise<Float32Array> {
    const [session, decode, process, rule] = [this.#session, this.#decode, this.#process, this.#spec.output]
    if (!session || !decode || !process) throw new Error('The engine is not loaded')
    if (rule.kind !== 'objects')
      throw new Error('A detection engine has to be told how many classes there are')
    const image = await decode(extra?.bytes)
    const [logits, boxes] = await session.runImageToAll(await process(image))
    try {
      const [, queries, classes] = logits?.dims ?? []
      if (!logits || !boxes || classes !== rule.classes + 1 || String(boxes.dims) !== `1,${queries},4`) {
        throw new Error(
          `The model gives the shapes [${logits?.dims}] and [${boxes?.dims}], not [1, n, ${rule.classes + 1}] and [1, n, 4]`,
        )
      }
      const threshold = extra?.params?.threshold
      const output = { logits: logits.data, classes: rule.classes, boxes: boxes.data }
      return objectRows(output, image, typeof threshold === 'number' ? threshold : 0.5)
    } finally {
      logits?.dispose()
      boxes?.dispose()
    }
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.dispose()
  }
}
