/**
 * Loaded into every process of a soaked fleet: SIGUSR2 collects all garbage and moves what is left together, so that what
 * a process takes afterwards is what it holds. V8 by itself lets holes in its pages grow for minutes before it does that.
 */
const { setFlagsFromString } = require('node:v8')
setFlagsFromString('--expose-gc')
const collect = require('node:vm').runInNewContext('gc')
process.on('SIGUSR2', () => {
  setFlagsFromString('--compact-on-every-full-gc')
  collect()
  setFlagsFromString('--no-compact-on-every-full-gc')
})
