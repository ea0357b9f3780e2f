/**
 * The end of this turn of the event loop, one promise for all who await it. Answers that are known at once leave
 * together there: each write alone would wake its reader alone, which under load costs more than making the answer.
 */
let turn: Promise<void> | undefined

export function endOfTurn(): Promise<void> {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = undefined
      resolve()
    })
  })
  return turn
}
