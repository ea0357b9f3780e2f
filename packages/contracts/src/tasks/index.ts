/** All tasks, by name. Another task begins with its file in this folder and its line in each list here. */
import { z } from 'zod'
import { embeddingSchema, featureExtraction, featureExtractionFacts } from './feature-extraction.js'
import { candidateSchema, fillMask, fillMaskFacts } from './fill-mask.js'
import { imageClassification, imageClassificationFacts } from './image-classification.js'
import { imageFeatureExtraction, imageFeatureExtractionFacts } from './image-feature-extraction.js'
import { detectedObjectSchema, objectDetection, objectDetectionFacts } from './object-detection.js'
import { rerankFacts, rerankPair, scoreSchema } from './rerank-pair.js'
import { speechRecognition, speechRecognitionFacts, transcriptSchema } from './speech-recognition.js'
import type { TaskContract } from './task-contract.js'
import { labelScoreSchema, textClassification, textClassificationFacts } from './text-classification.js'

export const taskContracts = {
  'feature-extraction': featureExtraction,
  'text-classification': textClassification,
  rerank: rerankPair,
  'fill-mask': fillMask,
  'image-classification': imageClassification,
  'image-feature-extraction': imageFeatureExtraction,
  'object-detection': objectDetection,
  'automatic-speech-recognition': speechRecognition,
} as const satisfies Record<string, TaskContract>

export type Task = keyof typeof taskContracts
export const tasks = Object.keys(taskContracts) as [Task, ...Task[]]

/**
 * What a result of one item may be, and of which task. Who parses takes the first that fits and drops what it does not
 * name: what has another's fields and more stands before it.
 */
export const taskOutputs = {
  'object-detection: objects': z.array(detectedObjectSchema),
  'feature-extraction, image-feature-extraction: an embedding': embeddingSchema,
  'text-classification, image-classification: labels, best first': z.array(labelScoreSchema),
  'rerank: a score': scoreSchema,
  'fill-mask: candidates, best first': z.array(candidateSchema),
  'automatic-speech-recognition: what is said': transcriptSchema,
} as const

/** What a loaded model says of itself. */
export const taskFacts = [
  featureExtractionFacts,
  textClassificationFacts,
  rerankFacts,
  fillMaskFacts,
  imageClassificationFacts,
  imageFeatureExtractionFacts,
  objectDetectionFacts,
  speechRecognitionFacts,
] as const

export * from './common-facts.js'
export * from './feature-extraction.js'
export * from './fill-mask.js'
export * from './image-classification.js'
export * from './image-feature-extraction.js'
export * from './object-detection.js'
export * from './rerank-pair.js'
export * from './speech-recognition.js'
export * from './task-contract.js'
export * from './text-classification.js'
