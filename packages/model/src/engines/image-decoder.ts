/**
 * Files to pixels, in the model process alone: a file that hangs or ends its decoder ends no more than this process.
 * The decoder is sharp, of the very copy that transformers.js loads.
 */
import { createRequire } from 'node:module'
import type Sharp from 'sharp'
import { InputRefused } from '../input-refused.js'
import { type Pixels, pillowResize } from './pillow-resize.js'
import type { Transformers } from './transformers-library.js'

type RawImage = InstanceType<Transformers['RawImage']>

/** Formats with a decoder of libvips' own; of all else (SVG, PDF, ...) nothing is tried. */
const formats = ['png', 'jpeg', 'webp', 'gif']

export type DecodeImage = (bytes: Uint8Array | undefined) => Promise<RawImage>

/** @param maxPixels asked of the header, before anything is decoded */
export function imageDecoder({ RawImage }: Transformers, maxPixels: number): DecodeImage {
  const require = createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'))
  const sharp: typeof Sharp = require('sharp')
  sharp.cache(false)
  sharp.concurrency(1)
  resizeAsPillow(RawImage)
  return async (bytes) => {
    if (bytes === undefined) throw new Error('An image came without its file')
    try {
      const image = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true })
      const { format, width = 0, height = 0 } = await image.metadata()
      if (!formats.includes(format ?? '')) throw new Error(`A file of the format ${format}`)
      if (width * height > maxPixels) throw tooLarge(width, height, maxPixels)
      // As transformers' load_image: turned as its EXIF says, three channels, transparency left out.
      const decoded = image.autoOrient().toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' })
      const { data, info } = await decoded.toBuffer({ resolveWithObject: true })
      return new RawImage(new Uint8ClampedArray(data), info.width, info.height, info.channels).rgb()
    } catch (error) {
      if (error instanceof InputRefused) throw error
      throw new InputRefused('invalid_input', 'The image is damaged and cannot be decoded')
    }
  }
}

function tooLarge(width: number, height: number, maxPixels: number): InputRefused {
  return new InputRefused('input_too_large', `${width} x ${height} pixels; at most ${maxPixels} are taken`)
}

/** Of all images of this process: the library's processors resize through this method. */
function resizeAsPillow(Image: Transformers['RawImage']): void {
  const plain = Image.prototype.resize
  Image.prototype.resize = async function resize(
    this: RawImage,
    width: number,
    height: number,
    options = {},
  ) {
    const { resample = 2 } = options as { resample?: number | string }
    const sizes = [width, height].every((size) => Number.isInteger(size) && size > 0)
    const resized: Pixels | undefined =
      sizes && typeof resample === 'number' ? pillowResize(this, width, height, resample) : undefined
    if (resized === undefined) return plain.call(this, width, height, options)
    return new Image(new Uint8ClampedArray(resized.data), width, height, this.channels)
  } as typeof plain
}
