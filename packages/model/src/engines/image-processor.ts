/** One image as the tensor of its model, by the library's own processors, with typed edges. */
import type { Transformers } from './transformers-session.js'

type RawImage = InstanceType<Transformers['RawImage']>

/** Numbers of one image, `[channels, height, width]`. */
export interface ProcessedImage {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

export type Processor = (image: RawImage) => Promise<ProcessedImage>

/** @throws Error where preprocessor_config.json is not there or broken */
export async function loadProcessor(transformers: Transformers, dir: string): Promise<Processor> {
  const processor = await transformers.AutoImageProcessor.from_pretrained(dir, { local_files_only: true })
  return async (image) => {
    const { pixel_values: tensor } = await processor([image])
    if (!(tensor.data instanceof Float32Array) || tensor.dims.length !== 4) {
      throw new Error(`The processor of the model gives a tensor of the shape [${tensor.dims}]`)
    }
    return { data: tensor.data, dims: tensor.dims.slice(1) }
  }
}
