export {
  type KeyInfo,
  type KeyState,
  keyState,
  type NewKey,
  newKeySchema,
  type Scope,
  scopes,
  tenantNameSchema,
} from './api-key.js'
export { RateLimits, type RateLimitsOptions, type TokenBudget, TokensRefused } from './rate-limits.js'
export { type FoundKey, TenantStore, type TenantStoreOptions } from './tenant-store.js'
