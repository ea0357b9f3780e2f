/**
 * What is asked one by one in a turn of the event loop, and sent as one when it ends: a command of its own for each costs more
 * than most of them do in Redis.
 */

interface Asked<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export class Together<Item, Answer> {
  readonly #send: (items: readonly Item[]) => Promise<readonly Answer[]>
  readonly #most: number
  #asked: Asked<Item, Answer>[] = []

  /**
   * @param send answers all items, in their order; where it fails, all of them fail
   * @param most items that are sent as one; more are sent in parts
   */
  constructor(send: (items: readonly Item[]) => Promise<readonly Answer[]>, most: number) {
    this.#send = send
    this.#most = most
  }

  /** @throws what `send` does */
  ask(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = this.#asked.push({ item, resolve, reject })
      // After the promises of this turn, which may ask for more.
      if (asked === 1) process.nextTick(() => this.#sendAll())
    })
  }

  #sendAll(): void {
    const all = this.#asked
    this.#asked = []
    for (let at = 0; at < all.length; at += this.#most) void this.#sendPart(all.slice(at, at + this.#most))
  }

  async #sendPart(part: readonly Asked<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#send(part.map(({ item }) => item))
      if (answers.length !== part.length)
        throw new Error(`${answers.length} answers to ${part.length} questions`)
      for (const [i, answer] of answers.entries()) part[i]?.resolve(answer)
    } catch (error) {
      for (const { reject } of part) reject(error)
    }
  }
}
