/** The task of a model, by name. */
import type { Task } from '@millrace/contracts'
import { openFeatureExtraction } from './feature-extraction.js'
import { openFillMask } from './fill-mask.js'
import { openGeneration } from './generation.js'
import { openImageClassification } from './image-classification.js'
import { openImageFeatures } from './image-feature-extraction.js'
import { openImageToText } from './image-to-text.js'
import type { ModelTask } from './model-task.js'
import { openObjectDetection } from './object-detection.js'
import { openQuestionAnswering } from './question-answering.js'
import { openRerank } from './rerank.js'
import { openSpeechRecognition } from './speech-recognition.js'
import { openTextClassification } from './text-classification.js'
import { openTokenClassification } from './token-classification.js'
import { openZeroShotClassification } from './zero-shot-classification.js'

export type { Follower, LoadedTask, ModelInput, ModelTask, TaskResult } from './model-task.js'

const openers: Readonly<Record<Task, (dir: string) => Promise<ModelTask>>> = {
  'feature-extraction': openFeatureExtraction,
  'text-classification': openTextClassification,
  rerank: openRerank,
  'fill-mask': openFillMask,
  'zero-shot-classification': openZeroShotClassification,
  'question-answering': openQuestionAnswering,
  'token-classification': openTokenClassification,
  'text-generation': (dir) => openGeneration(dir, 'text-generation'),
  summarization: (dir) => openGeneration(dir, 'summarization'),
  translation: (dir) => openGeneration(dir, 'translation'),
  'text2text-generation': (dir) => openGeneration(dir, 'text2text-generation'),
  'image-classification': openImageClassification,
  'image-feature-extraction': openImageFeatures,
  'object-detection': openObjectDetection,
  'image-to-text': openImageToText,
  'automatic-speech-recognition': openSpeechRecognition,
}

/** @throws Error naming the file that is missing, broken or asks for something that is not supported */
export function openTask(dir: string, task: Task): Promise<ModelTask> {
  return openers[task](dir)
}
