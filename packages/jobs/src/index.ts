export {
  ChunkConsumer,
  type ChunkConsumerOptions,
  type ChunkDelivery,
  type ConsumerEvent,
} from './chunk-consumer.js'
export {
  type ChunkData,
  ChunkQueues,
  type ChunkQueuesOptions,
  chunkJobId,
  type Depth,
  queuePrefix,
} from './chunk-queues.js'
export { DeliveryLog, type DeliveryLogOptions } from './delivery-log.js'
export { announceEveryMs, type Fleet, FleetRegistry, type WorkerAnnouncement } from './fleet-registry.js'
export {
  type ChunkResult,
  JobStore,
  type JobStoreOptions,
  type StoreOutcome,
  type TakenChunk,
} from './job-store.js'
export {
  freshProgress,
  type JobFacts,
  type JobIdentity,
  type JobProgress,
  type KnownJob,
  type NewJob,
  type SlotInput,
  type StoredJob,
  storedJob,
} from './record.js'
export { SettledChannel, type SettledChannelOptions, settledChannel } from './settled-channel.js'
export { encodeSettled, inlineLimitBytes, type SettledJob } from './settled-message.js'
export {
  WebhookConsumer,
  type WebhookConsumerEvent,
  type WebhookConsumerOptions,
  type WebhookTryEnd,
} from './webhook-consumer.js'
export { type WebhookData, WebhookQueue, type WebhookQueueOptions, webhookJobId } from './webhook-queue.js'
