export { aheadChannel, type ChunkAhead, encodeAhead, onAhead } from './ahead-channel.js'
export { onCanceled, tellCanceled } from './cancel-channel.js'
export {
  ChunkConsumer,
  type ChunkConsumerOptions,
  type ChunkDelivery,
  type ConsumerEvent,
} from './chunk-consumer.js'
export { groupChars } from './chunk-groups.js'
export {
  type ChunkData,
  ChunkQueues,
  type ChunkQueuesOptions,
  type ChunksOf,
  type Company,
  chunkJobId,
  type Depth,
  queuePrefix,
} from './chunk-queues.js'
export { DeliveryLog, type DeliveryLogOptions } from './delivery-log.js'
export { type EndJobContext, endJob } from './end-job.js'
export { eventId, eventPlace, isEventId } from './event-id.js'
export { type EventWatch, watchEvents } from './event-watch.js'
export { announceEveryMs, type Fleet, FleetRegistry, type WorkerAnnouncement } from './fleet-registry.js'
export { isCursor, JobList, type ListPage, type ListQuery } from './job-list.js'
export {
  type ChunkRef,
  type ChunkResult,
  eventsAtOnce,
  type Foreseen,
  JobStore,
  type JobStoreOptions,
  type OutputPiece,
  type RetryOutcome,
  type StoredEvent,
  type StoreOutcome,
  type TakenChunk,
} from './job-store.js'
export { JobWatch } from './job-watch.js'
export { mayBeOnItsWay } from './known-jobs.js'
export {
  freshProgress,
  isGone,
  isLate,
  type JobFacts,
  type JobIdentity,
  type JobProgress,
  type KnownJob,
  limitsFrom,
  type NewJob,
  type SlotInput,
  type StoredJob,
  storedJob,
} from './record.js'
export { SettledChannel, settledChannel } from './settled-channel.js'
export { encodeSettled, type SettledJob, travelling } from './settled-message.js'
export { Subscriber, type SubscriberOptions } from './subscriber.js'
export {
  WebhookConsumer,
  type WebhookConsumerEvent,
  type WebhookConsumerOptions,
  type WebhookTryEnd,
} from './webhook-consumer.js'
export { type WebhookData, WebhookQueue, type WebhookQueueOptions, webhookJobId } from './webhook-queue.js'
