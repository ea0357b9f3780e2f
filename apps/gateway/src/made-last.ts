/**
 * What was made last, for whoever asks for the same right after: those who wait for one job come one behind the other. Not a
 * WeakMap: V8 carries each of its values through two collections, though nobody asks for it again.
 */
export class MadeLast<Key, Made> {
  #last: { key: Key; made: Made } | undefined

  get(key: Key, make: () => Made): Made {
    if (this.#last?.key !== key) this.#last = { key, made: make() }
    return this.#last.made
  }
}
