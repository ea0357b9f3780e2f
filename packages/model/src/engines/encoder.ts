/**
 * The encoder in front of a decoder: what is read, as the decoder's inputs. Knows graphs and tensors; how an item becomes
 * tensors is the feed's matter.
 */
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common'
import type { Feeds } from './encoder-session.js'

export interface Encoder {
  readonly session: InferenceSession
  readonly tensor: TensorConstructor
}

/** @returns the decoder's inputs that are the same at every step; the caller's own to dispose of */
export async function encode(
  feeds: Feeds,
  { session, tensor: OnnxTensor }: Encoder,
): Promise<Record<string, Tensor>> {
  const tensors: Record<string, Tensor> = {}
  for (const [name, { data, dims }] of Object.entries(feeds)) {
    if (!session.inputNames.includes(name) && name !== 'attention_mask') continue
    tensors[name] =
      data instanceof Float32Array
        ? new OnnxTensor('float32', data, dims)
        : new OnnxTensor('int64', data, dims)
  }
  const { attention_mask: mask, ...others } = tensors
  const wanted =
    mask && session.inputNames.includes('attention_mask') ? { ...others, attention_mask: mask } : others
  const { last_hidden_state: states } = (await session.run(wanted)) as Record<string, Tensor>
  for (const tensor of Object.values(others)) tensor.dispose()
  if (states === undefined) throw new Error('The encoder gives no last_hidden_state')
  return { encoder_hidden_states: states, ...(mask === undefined ? {} : { encoder_attention_mask: mask }) }
}
