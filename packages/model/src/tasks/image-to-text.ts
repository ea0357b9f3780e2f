/** image-to-text: what is seen in an image is written, token by token (captions, and texts that are read off). */
import { loadTextTokenizer } from '@millrace/tokenizer'
import { readGenerationSettings } from '../generation/generation-settings.js'
import { generatedResult, probeTokens, writtenText } from './generation.js'
import { imageInputs } from './image-inputs.js'
import type { ModelTask } from './model-task.js'

const task = 'image-to-text'

export async function openImageToText(dir: string): Promise<ModelTask> {
  const { rule, files } = await readGenerationSettings(dir, task)
  const tokenizer = await loadTextTokenizer(dir, task)
  const images = await imageInputs(dir)
  const nothing = new Int32Array()
  return {
    engine: 'generation',
    output: rule,
    files,
    maxTokens: images.maxTokens,
    probe: (text, place) => ({ ...images.probe(text, place), params: { max_new_tokens: probeTokens } }),
    encode(input) {
      const { cost = 0, ...item } = images.encode(input)
      return { ...item, cost: cost + Number(input.params?.max_new_tokens ?? 0) }
    },
    loaded: () => ({
      facts: { task, max_output_tokens: rule.context },
      resultOf: (output, _item, input) =>
        generatedResult(output, writtenText(tokenizer, nothing, input), { promptTokens: 0, input }),
      follow: (_item, input) => writtenText(tokenizer, nothing, input).follower(),
    }),
  }
}
