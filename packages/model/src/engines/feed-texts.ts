/** Token ids as the tensors of a forward pass, padded to the longest. */
import { type PaddedBatch, padBatch } from '../padded-batch.js'
import type { OpenFeed } from './session-engine.js'

export const feedTexts: OpenFeed<PaddedBatch> =
  async ({ padTokenId }) =>
  async (rows) => {
    const padded = padBatch(rows, padTokenId)
    const { ids, mask, types, dims } = padded
    const feeds = {
      input_ids: { data: ids, dims },
      attention_mask: { data: mask, dims },
      token_type_ids: { data: types, dims },
    }
    return { feeds, pass: padded }
  }
