/** text-generation, summarization, translation, text2text-generation: a text is written, token by token. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { GeneratedText, GenerationTask, Params, TaskFacts } from '@millrace/contracts'
import { chatTemplateFile, isMessages, loadTextTokenizer } from '@millrace/tokenizer'
import type { EncodedItem } from '../engine.js'
import { readGenerationSettings } from '../generation/generation-settings.js'
import { WrittenText } from '../generation/written-text.js'
import { readWritten } from '../generation/written-tokens.js'
import type { ModelInput, ModelTask } from './model-task.js'

/** Enough for the self-test to see whether the same prompt gives the same text. */
const probeTokens = 8

export async function openGeneration(dir: string, task: GenerationTask): Promise<ModelTask> {
  const { rule, prefix, files } = await readGenerationSettings(dir, task)
  const tokenizer = await loadTextTokenizer(dir, task)
  const alone = task === 'text-generation'
  const context = alone ? tokenizer.maxTokens + 1 : rule.context
  const written = ({ ids }: EncodedItem, { params }: ModelInput) =>
    new WrittenText(tokenizer, { prompt: alone ? ids : new Int32Array(), stops: stopsOf(params) })
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
      resultOf(output, item, input) {
        const { partial, generated, ...text } = written(item, input).whole(readWritten(output))
        const { do_sample, seed } = input.params ?? {}
        const value: GeneratedText = {
          ...text,
          tokens: { prompt: item.ids.length, generated },
          ...(do_sample === true && typeof seed === 'number' ? { seed } : {}),
        }
        return { kind: 'value', value, ...(partial ? { partial } : {}) }
      },
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

function stopsOf(params: Params | undefined): readonly string[] {
  const stop = params?.stop
  return Array.isArray(stop) ? stop : []
}

function factsOf(task: GenerationTask, context: number): TaskFacts {
  return task === 'text-generation' ? { task, context } : { task, max_output_tokens: context }
}
