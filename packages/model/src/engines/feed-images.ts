/**
 * Images as the tensor of a forward pass: decoded, then prepared by the library's own processors as preprocessor_config.json
 * says. What a pass was made of is the size of each, as it was decoded.
 */
import type { EncodedItem } from '../engine.js'
import { gradientPng } from '../gradient-png.js'
import { imageDecoder } from './image-decoder.js'
import type { OpenFeed } from './session-engine.js'
import { importTransformers, type Transformers } from './transformers-library.js'

type RawImage = InstanceType<Transformers['RawImage']>

export type ImageSize = Readonly<Pick<RawImage, 'width' | 'height'>>

/** Numbers of one image, `[channels, height, width]`. */
interface ProcessedImage {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

/** Of the masks that DETR asks for, whatever the size of the image; DetrImageProcessor of transformers.js. */
const maskSide = 64

export const imageProbe: EncodedItem = { ids: new Int32Array(), extra: { bytes: gradientPng(32, 32, 0) } }

/** @throws Error where preprocessor_config.json is not there or broken */
export const feedImages: OpenFeed<readonly ImageSize[]> = async ({ dir, options }) => {
  const transformers = importTransformers()
  const decode = imageDecoder(transformers, Number(options.maxImagePixels ?? Number.MAX_SAFE_INTEGER))
  const processor = await transformers.AutoImageProcessor.from_pretrained(dir, { local_files_only: true })
  const prepared = async (image: RawImage): Promise<ProcessedImage> => {
    const { pixel_values: tensor } = await processor([image])
    if (!(tensor.data instanceof Float32Array) || tensor.dims.length !== 4) {
      throw new Error(`The processor of the model gives a tensor of the shape [${tensor.dims}]`)
    }
    return { data: tensor.data, dims: tensor.dims.slice(1) }
  }
  return async (rows) => {
    const images: ProcessedImage[] = []
    const sizes: ImageSize[] = []
    // One after the other: each is some megabytes while it is decoded, and small once it is resized.
    for (const { extra } of rows) {
      const image = await decode(extra?.bytes)
      sizes.push({ width: image.width, height: image.height })
      images.push(await prepared(image))
    }
    // Nothing is padding: the whole image counts.
    const mask = new BigInt64Array(rows.length * maskSide * maskSide).fill(1n)
    const feeds = {
      pixel_values: stacked(images),
      pixel_mask: { data: mask, dims: [rows.length, maskSide, maskSide] },
    }
    return { feeds, pass: sizes }
  }
}

/** @throws Error where their shapes differ */
function stacked(images: readonly ProcessedImage[]): ProcessedImage {
  const dims = images[0]?.dims ?? []
  if (!images.every((image) => String(image.dims) === String(dims))) {
    throw new Error('The processor of the model gives images of different shapes')
  }
  const size = dims.reduce((product, dim) => product * dim, 1)
  const data = new Float32Array(images.length * size)
  for (const [place, image] of images.entries()) data.set(image.data, place * size)
  return { data, dims: [images.length, ...dims] }
}
