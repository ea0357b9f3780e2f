/**
 * Which chunks of one moment travel as one BullMQ job: under load most of what a small chunk costs is BullMQ's, and that
 * is paid once per BullMQ job. Pure: what is sent, and when, is the caller's matter.
 */

/** About a batch's worth of text: more in one pair of hands would leave another worker idle. */
export const groupChars = 1024

/**
 * Neighbours stay together and in order. There are at least `workers` groups, where there are as many chunks; no group
 * of several holds more than `groupChars`.
 * @param chars of the inputs of a chunk
 */
export function groupsOf<T>(chunks: readonly T[], workers: number, chars: (chunk: T) => number): T[][] {
  const most = Math.ceil(chunks.length / Math.max(1, workers))
  const groups: T[][] = []
  let group: T[] = []
  let held = 0
  for (const chunk of chunks) {
    const more = chars(chunk)
    if (group.length > 0 && (group.length === most || held + more > groupChars)) {
      groups.push(group)
      group = []
      held = 0
    }
    group.push(chunk)
    held += more
  }
  if (group.length > 0) groups.push(group)
  return groups
}
