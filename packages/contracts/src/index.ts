export * from './errors.js'
export * from './job.js'
export * from './model.js'
export * from './problem.js'
