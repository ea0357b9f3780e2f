/** What an engine throws where one input is at fault, and not the model: the item fails with this code and no other. */
import type { ErrorCode } from '@millrace/contracts'

export class InputRefused extends Error {
  override readonly name = 'InputRefused'
  readonly code: ErrorCode

  /** @param detail may be shown to anyone */
  constructor(code: ErrorCode, detail: string) {
    super(detail)
    this.code = code
  }
}
