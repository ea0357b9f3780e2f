/** Charges a request's tokens to a tenant that has a limit: those of its inputs, and those it lets a model write. */
import { isMediaInput, readMediaInput } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { GatewayContext, RequestContext } from './context.js'
import { chargeTokens } from './middleware/rate-limit.js'
import { TokenCounter } from './token-counter.js'

/** English has some 4.5 characters a token; used where this gateway has not the model's tokenizer. */
const charsPerToken = 4
/** An image or a recording is charged by the size of its file. */
const bytesPerToken = 1024

/**
 * @param reading.whole the model reads what is longer than it takes in parts
 * @param reading.times how often it reads each input
 * @param reading.newTokens most that are written for each input: charged as if all were, for nobody knows yet
 * @throws MillraceError rate_limited; body_too_large for more than the whole limit
 */
export async function chargeInputs(
  c: RequestContext,
  inputs: readonly string[],
  tokenizer: TextTokenizer | undefined,
  { limits }: GatewayContext,
  { whole = false, times = 1, newTokens = 0 }: { whole?: boolean; times?: number; newTokens?: number } = {},
): Promise<void> {
  if (c.get('tenant').tokensPerMinute === null) return
  let tokens = newTokens * inputs.length
  const counter = tokenizer && new TokenCounter(tokenizer)
  for (const input of inputs) {
    if (isMediaInput(input)) {
      tokens += Math.ceil(readMediaInput(input).bytes / bytesPerToken)
      continue
    }
    tokens += counter?.tokensOf(input, { whole }) ?? Math.ceil(input.length / charsPerToken)
    if (counter?.needsRest) await counter.rest()
  }
  await chargeTokens(c, limits, tokens * times)
}
