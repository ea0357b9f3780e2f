/** The model that a request names, for the task that its route is of. */
import type { Config, ModelConfig } from '@millrace/config'
import { fieldError, type Task } from '@millrace/contracts'

/**
 * @param task of the route; without one every model will do
 * @throws MillraceError model_not_found, wrong_task
 */
export function modelOf({ models }: Pick<Config, 'models'>, alias: string, task?: Task): ModelConfig {
  const model = models.get(alias)
  if (!model) throw fieldError('model_not_found', 'model', `this fleet has no model '${alias}'`)
  if (task === undefined || model.task === task) return model
  throw fieldError(
    'wrong_task',
    'model',
    `'${alias}' is a ${model.task} model; this route takes ${task} models`,
  )
}
