/** All tasks, by name. Another task begins with its file in this folder and its line in each list here. */
import { z } from 'zod'
import { embeddingSchema, featureExtraction, featureExtractionFacts } from './feature-extraction.js'
import { candidateSchema, fillMask, fillMaskFacts } from './fill-mask.js'
import {
  generatedTextSchema,
  imageToText,
  imageToTextFacts,
  summarization,
  summarizationFacts,
  text2textGeneration,
  text2textGenerationFacts,
  textGeneration,
  textGenerationFacts,
  translation,
  translationFacts,
} from './generation.js'
import { imageClassification, imageClassificationFacts } from './image-classification.js'
import { imageFeatureExtraction, imageFeatureExtractionFacts } from './image-feature-extraction.js'
import { detectedObjectSchema, objectDetection, objectDetectionFacts } from './object-detection.js'
import { answerSchema, questionAnswering, questionAnsweringFacts } from './question-answering.js'
import { rerankFacts, rerankPair, scoreSchema } from './rerank-pair.js'
import { speechRecognition, speechRecognitionFacts, transcriptSchema } from './speech-recognition.js'
import type { TaskContract } from './task-contract.js'
import { labelScoreSchema, textClassification, textClassificationFacts } from './text-classification.js'
import {
  entitySchema,
  taggedTokenSchema,
  tokenClassification,
  tokenClassificationFacts,
} from './token-classification.js'
import {
  labelScoresSchema,
  zeroShotClassification,
  zeroShotClassificationFacts,
} from './zero-shot-classification.js'

export const taskContracts = {
  'feature-extraction': featureExtraction,
  'text-classification': textClassification,
  rerank: rerankPair,
  'fill-mask': fillMask,
  'token-classification': tokenClassification,
  'question-answering': questionAnswering,
  'zero-shot-classification': zeroShotClassification,
  'text-generation': textGeneration,
  summarization,
  translation,
  'text2text-generation': text2textGeneration,
  'image-classification': imageClassification,
  'image-feature-extraction': imageFeatureExtraction,
  'object-detection': objectDetection,
  'image-to-text': imageToText,
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
  'question-answering: an answer, or with top_k above 1 answers, best first': z.union([
    answerSchema,
    z.array(answerSchema),
  ]),
  'zero-shot-classification: labels and their scores, best first': labelScoresSchema,
  'rerank: a score': scoreSchema,
  'fill-mask: candidates, best first': z.array(candidateSchema),
  'token-classification: entities, in the order of the text': z.union([
    z.array(entitySchema),
    z.array(taggedTokenSchema),
  ]),
  'text-generation, summarization, translation, text2text-generation, image-to-text: a text':
    generatedTextSchema,
  'automatic-speech-recognition: what is said': transcriptSchema,
} as const

/** What a loaded model says of itself. */
export const taskFacts = [
  featureExtractionFacts,
  textClassificationFacts,
  rerankFacts,
  fillMaskFacts,
  tokenClassificationFacts,
  questionAnsweringFacts,
  zeroShotClassificationFacts,
  textGenerationFacts,
  summarizationFacts,
  translationFacts,
  text2textGenerationFacts,
  imageClassificationFacts,
  imageFeatureExtractionFacts,
  objectDetectionFacts,
  imageToTextFacts,
  speechRecognitionFacts,
] as const

export * from './common-facts.js'
export * from './feature-extraction.js'
export * from './fill-mask.js'
export * from './generation.js'
export * from './image-classification.js'
export * from './image-feature-extraction.js'
export * from './object-detection.js'
export * from './question-answering.js'
export * from './rerank-pair.js'
export * from './speech-recognition.js'
export * from './task-contract.js'
export * from './text-classification.js'
export * from './token-classification.js'
export * from './zero-shot-classification.js'
