/**
 * The id of an event of a job: its run, and its place in that. Ids grow as things happen, over all runs of a job, whatever
 * a clock says; what a run has only once has the same place in each.
 */

/** `progress` and `output` have the places between start and end, as the scripts count them. */
export const eventPlace = { queued: 0, started: 1, ended: 999_999_999 } as const

export function eventId(run: number, place: number): string {
  return `${run}-${place}`
}

/** Whether the text could be the id of an event. */
export function isEventId(text: string): boolean {
  return /^\d{1,9}-\d{1,9}$/.test(text)
}

/** How far in this run a reader is who has read up to `id`: nowhere yet after an earlier run, beyond it after a later one. */
export function placeIn(run: number, id: string): number {
  const [itsRun = 0, place = 0] = id.split('-').map(Number)
  if (itsRun === run) return place
  return itsRun < run ? -1 : eventPlace.ended
}
