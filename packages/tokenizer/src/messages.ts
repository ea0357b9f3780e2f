/**
 * The messages of a chat, as one string: the canonical form in which they are hashed, queued and encoded, so that nothing
 * between the gateway's edge and the tokenizer need know of chats. One chat has exactly one form.
 */
import { type ChatMessage, chatMessagesOf, MillraceError } from '@millrace/contracts'

/** No text begins like this by chance: NUL has no meaning in text. Who takes texts from outside refuses those that do. */
const mark = '\u0000messages:'

/** Whether this is the canonical form of messages, or pretends to be. */
export function isMessages(input: string): boolean {
  return input.startsWith(mark)
}

export function writeMessages(messages: readonly ChatMessage[]): string {
  return mark + JSON.stringify(messages.map(({ role, content }) => ({ role, content })))
}

/** @throws MillraceError invalid_input for anything that `writeMessages` does not write */
export function readMessages(input: string): readonly ChatMessage[] {
  try {
    const messages = chatMessagesOf(JSON.parse(input.slice(mark.length)))
    if (messages !== undefined && writeMessages(messages) === input) return messages
  } catch {
    // Said below.
  }
  throw new MillraceError('invalid_input', 'The input begins like a list of messages and is none')
}
