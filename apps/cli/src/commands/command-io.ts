/** Where a command reads, writes and hears of Ctrl-C: the process's own, or a test's. */

export interface Screenlike {
  write(text: string, done?: (error?: Error | null) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface CommandIo {
  readonly stdin: AsyncIterable<Uint8Array | string>
  readonly stdout: Screenlike
  readonly stderr: Screenlike
  readonly signals: {
    on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
    off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
  }
}

export const processIo: CommandIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
}

/** Resolves when the text is out, so that a slow reader slows the writer down. @throws as the stream does (EPIPE) */
export function write(stream: Screenlike, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()))
  })
}
