/** zero-shot-classification: a text gets a score for each of the client's own labels, from a model of entailment (NLI). */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

/** Each label is read with the whole text, so labels are what an item costs. */
export const maxCandidateLabels = 64
const maxLabelCharacters = 200
const maxTemplateLength = 500

export const zeroShotClassification = {
  input: 'text',
  options: ['truncate'],
  params: { candidate_labels: null, hypothesis_template: 'This example is {}.', multi_label: false },
  required: ['candidate_labels'],
} as const satisfies TaskContract

export const candidateLabelsSchema = z
  .custom<readonly string[]>(areLabels, {
    error: `expected 1 to ${maxCandidateLabels} different labels of 1 to ${maxLabelCharacters} characters each`,
  })
  .meta({
    type: 'array',
    items: { type: 'string', minLength: 1, maxLength: maxLabelCharacters },
    minItems: 1,
    maxItems: maxCandidateLabels,
    uniqueItems: true,
  })

export const hypothesisTemplateSchema = z
  .string()
  .max(maxTemplateLength)
  .regex(/^[^{}]*\{\}[^{}]*$/, { error: 'expected one {} for the label, and no other braces' })
  .refine((template) => template.isWellFormed(), { error: 'holds half of a surrogate pair' })

/** Labels and their scores side by side, best first. */
export const labelScoresSchema = z
  .object({ labels: z.array(z.string()), scores: z.array(z.number()) })
  .meta({ id: 'LabelScores' })
export type LabelScores = z.infer<typeof labelScoresSchema>

export const zeroShotClassificationFacts = commonFacts.extend({
  task: z.literal('zero-shot-classification'),
  entailment_label: z.string().describe("The model's own name for what follows from a text"),
})

/** By hand: zod would tell of each of a million faulty elements. */
function areLabels(given: unknown): given is readonly string[] {
  if (!Array.isArray(given) || given.length === 0 || given.length > maxCandidateLabels) return false
  return new Set(given).size === given.length && given.every(isLabel)
}

function isLabel(label: unknown): boolean {
  if (typeof label !== 'string' || label === '' || label.length > 2 * maxLabelCharacters) return false
  return label.isWellFormed() && [...label].length <= maxLabelCharacters
}
