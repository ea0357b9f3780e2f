/** Why work in hand was not finished: this worker is stopping. Nothing failed; another worker goes on with it. */
export class GivenBack extends Error {
  override readonly name = 'GivenBack'
  constructor() {
    super('the worker is stopping')
  }
}
