/** text-generation, summarization, translation, text2text-generation: a text is written, token by token. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { GeneratedText, GenerationTask, TaskFacts } from '@millrace/contracts'
import { chatTemplateFile, isMessages, loadTextTokenizer, type TextTokenizer } from '@millrace/tokenizer'
import type { EncodedItem } from '../engine.js'
import { readGenerationSettings } from '../generation/generation-settings.js'
import { WrittenText } from '../generation/written-text.js'
import { readWritten } from '../generation/written-tokens.js'
import type { ModelInput, ModelTask, TaskResult } from './model-task.js'

/** Enough for the self-test to see whether the same prompt gives the same text. */
export const probeTokens = 8

export async function openGeneration(dir: string, task: GenerationTask): Promise<ModelTask> {
  const { rule, prefix, files } = await readGenerationSettings(dir, task)
  const tokenizer = await loadTextTokenizer(dir, task)
  const alone = task === 'text-generation'
  const context = alone ? tokenizer.maxTokens + 1 : rule.context
  const written = ({ ids }: EncodedItem, input: ModelInput) =>
    writtenText(tokenizer, alone ? ids : new Int32Array(), input)
  return {
    tokenizer,
    engine: 'generation',
    output: { ...rule, context },
    files: alone && (await isThere(join(dir, chatTemplateFile))) ? [...files, chatTemplateFile] : files,
    probe: (text) => ({ input: text, truncate: true, params: { max_new_tokens: probeTokens } }),
    encode({ input, truncate, params = {} }) {
      const wanted = Number(params.max_new_tokens ?? 0)
      const room = alone ? context - Math.min(wanted, Math.floor(context / 2)) : tokenizer.maxTokens
      const { ids } = tokenizer.encode(isMessages(input) ? input : prefix + input, { truncate, room })
      return { ids, extra: { params }, cost: ids.length + wanted }
    },
    loaded: () => ({
      facts: factsOf(task, context),
      resultOf: (output, item, input) =>
        generatedResult(output, written(item, input), { promptTokens: item.ids.length, input }),
      follow: (item, input) => written(item, input).follower(),
    }),
  }
}

async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  )
}

/** @param prompt tokens that the text goes on from */
export function writtenText(
  tokenizer: Pick<TextTokenizer, 'decode'>,
  prompt: Int32Array,
  { params }: Pick<ModelInput, 'params'>,
): WrittenText {
  const stop = params?.stop
  return new WrittenText(tokenizer, { prompt, stops: Array.isArray(stop) ? stop : [] })
}

/** What a client reads of what the engine wrote. */
export function generatedResult(
  output: Float32Array,
  text: WrittenText,
  { promptTokens, input }: { promptTokens: number; input: Pick<ModelInput, 'params'> },
): TaskResult {
  const { partial, generated, ...whole } = text.whole(readWritten(output))
  const { do_sample, seed } = input.params ?? {}
  const value: GeneratedText = {
    ...whole,
    tokens: { prompt: promptTokens, generated },
    ...(do_sample === true && typeof seed === 'number' ? { seed } : {}),
  }
  return { kind: 'value', value, ...(partial ? { partial } : {}) }
}

function factsOf(task: GenerationTask, context: number): TaskFacts {
  return task === 'text-generation' ? { task, context } : { task, max_output_tokens: context }
}
