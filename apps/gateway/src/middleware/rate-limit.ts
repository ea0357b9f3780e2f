/**
 * Charges a request's input tokens to its tenant and says what is left. The three plain fields of
 * draft-ietf-httpapi-ratelimit-headers-06, which clients read today: `RateLimit` and `RateLimit-Policy`, its later form
 * (-08 to -10), count requests unless they name a registered unit, and tokens are not registered.
 */
import { type RateLimits, type TokenBudget, TokensRefused } from '@millrace/tenants'
import type { RequestContext } from '../context.js'
import { setHeader } from '../set-header.js'

/**
 * After `authenticate`, once the tokens are counted and before anything is stored. A tenant without a limit is neither
 * counted nor told.
 * @param tokens a whole number, 0 or more
 * @throws MillraceError rate_limited with `retryAfterS`; body_too_large for more than the whole limit
 */
export async function chargeTokens(
  c: RequestContext,
  limits: Pick<RateLimits, 'consume'>,
  tokens: number,
): Promise<void> {
  const { name, tokensPerMinute } = c.get('tenant')
  if (tokensPerMinute === null) return
  try {
    tell(c, await limits.consume(name, tokens, tokensPerMinute))
  } catch (error) {
    if (error instanceof TokensRefused) tell(c, error.budget)
    throw error
  }
}

function tell(c: RequestContext, budget: TokenBudget): void {
  setHeader(c, 'ratelimit-limit', String(budget.limit))
  setHeader(c, 'ratelimit-remaining', String(budget.remaining))
  setHeader(c, 'ratelimit-reset', String(budget.resetS))
}
