/** Charges a request's input tokens to a tenant that has a limit. */
import { isMediaInput, readMediaInput } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { GatewayContext, RequestContext } from './context.js'
import { chargeTokens } from './middleware/rate-limit.js'
import { TokenCounter } from './token-counter.js'

/** English has some 4.5 characters a token; used where this gateway has not the model's tokenizer. */
const charsPerToken = 4
/** An image or a recording is charged by the size of its file. */
const bytesPerToken = 1024

/** @throws MillraceError rate_limited; body_too_large for more than the whole limit */
export async function chargeInputs(
  c: RequestContext,
  inputs: readonly string[],
  tokenizer: TextTokenizer | undefined,
  { limits }: GatewayContext,
): Promise<void> {
  if (c.get('tenant').tokensPerMinute === null) return
  let tokens = 0
  const counter = tokenizer && new TokenCounter(tokenizer)
  for (const input of inputs) {
    if (isMediaInput(input)) {
      tokens += Math.ceil(readMediaInput(input).bytes / bytesPerToken)
      continue
    }
    tokens += counter?.tokensOf(input) ?? Math.ceil(input.length / charsPerToken)
    if (counter?.needsRest) await counter.rest()
  }
  await chargeTokens(c, limits, tokens)
}
