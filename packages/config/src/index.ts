export { type Environment, environmentSchema } from './environment.js'
export { type Config, ConfigError, loadConfig, type ModelConfig } from './load-config.js'
export { type ModelsFile, modelsFileSchema } from './models-file.js'
