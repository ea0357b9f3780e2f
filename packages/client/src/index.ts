export type { ErrorCode, ItemOutput, Job, JobEvent, JobStatus, Model } from '@millrace/contracts'
export type { ListedJob, SettledJob, SucceededJob } from './answers.js'
export { isSettled, isSucceeded } from './answers.js'
export { type Clock, systemClock } from './clock.js'
export { decodeEmbedding } from './decode-embedding.js'
export {
  type ApiErrorCode,
  type ApiErrorFacts,
  type ApiFieldError,
  JobFailedError,
  MillraceApiError,
  MillraceConnectionError,
  MillraceTimeoutError,
  WebhookVerificationError,
} from './errors.js'
export {
  type CallOptions,
  type IdempotencyOptions,
  type ListOptions,
  Millrace,
  type MillraceOptions,
  type SubmitBody,
  type SubmitOptions,
  type WaitOptions,
} from './millrace.js'
export type { OnRetry } from './retries.js'
export type { StreamedEvent } from './stream-job.js'
export type { SubmitFilesBody } from './submit-form.js'
export {
  type VerifiedWebhook,
  type VerifyOptions,
  verifyWebhook,
  type WebhookHeaders,
  type WebhookPayload,
} from './verify-webhook.js'
