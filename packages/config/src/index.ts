export { ConfigError } from './config-error.js'
export { type Environment, environmentSchema } from './environment.js'
export { type Config, loadConfig, loadSettings, type Settings } from './load-config.js'
export { type ModelConfig, type ModelLimits, modelConfigOf } from './model-config.js'
export {
  aliasSchema,
  dtypes,
  type ModelEntry,
  type ModelEntryText,
  type ModelsFile,
  modelEntrySchema,
  modelsFileSchema,
} from './models-file.js'
export { changeModelsFile, readModelsFile } from './models-file-on-disk.js'
