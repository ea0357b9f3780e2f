export { type Environment, environmentSchema } from './environment.js'
export { type Config, ConfigError, loadConfig, type Settings } from './load-config.js'
export type { ModelConfig, ModelLimits } from './model-config.js'
export { type ModelsFile, modelsFileSchema } from './models-file.js'
