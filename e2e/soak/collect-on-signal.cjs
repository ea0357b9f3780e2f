/** Loaded into every process of a soaked fleet: SIGUSR2 collects all garbage, so that what is left is what is held. */
require('node:v8').setFlagsFromString('--expose-gc')
const collect = require('node:vm').runInNewContext('gc')
process.on('SIGUSR2', () => collect())
