/**
 * A chunk told ahead: said to one idle worker by the cache Redis, in the step that found its only item missing, while its
 * gateway has yet to write the record and to queue it. The worker begins at once; whoever misses the message loses nothing,
 * for the queue brings the chunk all the same.
 */
import { chunkPayload, type JobFacts, parseChunk, type SlotInput } from './record.js'
import type { Subscriber } from './subscriber.js'

/** The only chunk of a job's first run. */
export interface ChunkAhead {
  facts: JobFacts
  items: SlotInput[]
  /** Content key of the one item, which is claimed in this worker's name. */
  claimed: string
}

/** So that another version's message is told from one of ours: then the queue brings the chunk. */
const version = 1

type Message = [version: number, facts: JobFacts, chunk: string, claimed: string]

export function aheadChannel(workerId: string): string {
  return `mr:ahead:${workerId}`
}

export function encodeAhead({ facts, items, claimed }: ChunkAhead): string {
  const message: Message = [version, facts, chunkPayload(items), claimed]
  return JSON.stringify(message)
}

/** @param subscriber to the cache Redis   @returns what ends the listening */
export function onAhead(
  subscriber: Subscriber,
  workerId: string,
  hear: (told: ChunkAhead) => void,
): () => void {
  return subscriber.listen(aheadChannel(workerId), (message) => {
    const [told, facts, chunk, claimed] = JSON.parse(message.toString()) as Message
    if (told === version) hear({ facts, items: parseChunk(chunk), claimed })
  }).stop
}
