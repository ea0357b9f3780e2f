/**
 * A copy of a tiny generating model that can hold a longer text: what a long generation needs, and what no
 * fixture need weigh. Only for models without position tables (a Llama has none).
 */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export async function copyWithContext(from: string, to: string, tokens: number): Promise<void> {
  await cp(from, to, { recursive: true })
  await changeJson(join(to, 'config.json'), { max_position_embeddings: tokens })
  await changeJson(join(to, 'tokenizer_config.json'), { model_max_length: tokens })
}

async function changeJson(file: string, changes: Record<string, unknown>): Promise<void> {
  const whole = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ ...whole, ...changes }))
}
