/**
 * A connection that writes once for all commands of a turn. A system call costs as much as Redis needs for the command
 * itself, and a busy process sends many commands in one turn of its event loop. Unlike ioredis' autopipelining it leaves
 * commands, their order and their answers as they are, so BullMQ may share it.
 */
import { Redis } from 'ioredis'

export class TurnWritesRedis extends Redis {
  override sendCommand(...sent: Parameters<Redis['sendCommand']>): unknown {
    const { stream } = this
    // Its answer is undefined until the first connection.
    if (stream?.writable && stream.writableCorked === 0) {
      stream.cork()
      // After all that this turn's events set off, promises included.
      setImmediate(() => stream.uncork())
    }
    return super.sendCommand(...sent)
  }
}
