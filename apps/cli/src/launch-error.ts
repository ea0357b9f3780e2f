/** A fault whose message is written for the person at the terminal: what is wrong and what to do. No stack is shown. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError'
}

/** Start-up was called off (Ctrl-C while it was going on). Not a fault. */
export class StopRequested extends Error {
  override readonly name = 'StopRequested'
}
