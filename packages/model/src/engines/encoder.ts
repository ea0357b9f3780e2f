/**
 * The encoder in front of a decoder: what is read, as the decoder's inputs. Knows graphs and tensors; how an item becomes
 * tensors is the feed's matter.
 */
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common'
import { type Feeds, tensorsOf } from './encoder-session.js'

export interface Encoder {
  readonly session: InferenceSession
  readonly tensor: TensorConstructor
}

/** @returns the decoder's inputs that are the same at every step; the caller's own to dispose of */
export async function encode(
  feeds: Feeds,
  { session, tensor: OnnxTensor }: Encoder,
): Promise<Record<string, Tensor>> {
  const inputs = tensorsOf(feeds, session.inputNames, OnnxTensor)
  const { last_hidden_state: states } = (await session.run(inputs)) as Record<string, Tensor>
  for (const tensor of Object.values(inputs)) tensor.dispose()
  if (states === undefined) throw new Error('The encoder gives no last_hidden_state')
  const { attention_mask: mask } = tensorsOf(feeds, ['attention_mask'], OnnxTensor)
  return { encoder_hidden_states: states, ...(mask === undefined ? {} : { encoder_attention_mask: mask }) }
}
