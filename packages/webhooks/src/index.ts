export {
  AddressGuard,
  type AddressGuardOptions,
  type GuardOutcome,
  type Resolve,
  type Target,
} from './address-guard.js'
export { type FetchOptions, type FetchOutcome, fetchFile } from './fetch-file.js'
export { nextDelayMs, retryAfterMs, retryDelaysMs } from './retry-schedule.js'
export { type SendOptions, type SendOutcome, sendWebhook } from './send.js'
export { newSecret, signWebhook, type VerifyOutcome, verifyWebhook, type WebhookHeaders } from './sign.js'
