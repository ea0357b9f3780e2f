/**
 * Which files of a model folder decide its answers, and whether they are there. Reads directory entries only.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Task } from '@millrace/contracts'

/** ONNX file of each dtype: transformers.js' DEFAULT_DTYPE_SUFFIX_MAPPING, in its sub-folder. */
const MODEL_FILES: Readonly<Record<string, string>> = {
  fp32: 'onnx/model.onnx',
  fp16: 'onnx/model_fp16.onnx',
  int8: 'onnx/model_int8.onnx',
  uint8: 'onnx/model_uint8.onnx',
  q8: 'onnx/model_quantized.onnx',
  q4: 'onnx/model_q4.onnx',
  q4f16: 'onnx/model_q4f16.onnx',
  bnb4: 'onnx/model_bnb4.onnx',
}

const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json']
export const processorFile = 'preprocessor_config.json'

/** The words of a model with a CTC head: in the first of these that is there. */
export const ctcVocabularyFiles = ['vocab.json', 'tokenizer.json']

/** What a task that takes no text needs beside config.json and its graphs, each with what it may have instead. */
const mediaSettings: Readonly<Partial<Record<Task, readonly (readonly string[])[]>>> = {
  'image-classification': [[processorFile]],
  'image-feature-extraction': [[processorFile]],
  'object-detection': [[processorFile]],
  'image-to-text': [[processorFile], ...tokenizerFiles.map((file) => [file])],
  'automatic-speech-recognition': [[processorFile], ctcVocabularyFiles, ['tokenizer_config.json']],
}

function settingsOf(task: Task | undefined): readonly (readonly string[])[] {
  return (task && mediaSettings[task]) ?? tokenizerFiles.map((file) => [file])
}

/** What a hub is asked for beside config.json and the graphs. It need not have each: findModelFiles tells what is lacking. */
export function settingsFiles(task: Task | undefined): string[] {
  return [...settingsOf(task).flat(), ...sentenceFiles]
}

/** Files of sentence-transformers and others that change an answer where they are present. */
const sentenceFiles = [
  'modules.json',
  'special_tokens_map.json',
  'sentence_bert_config.json',
  'sentence_roberta_config.json',
  'sentence_distilbert_config.json',
  'sentence_camembert_config.json',
  'sentence_albert_config.json',
  'sentence_xlm-roberta_config.json',
  'sentence_xlnet_config.json',
]

/** @throws Error on a dtype that no file is known for */
export function onnxFileOf(dtype: string): string {
  const file = MODEL_FILES[dtype]
  if (file === undefined) {
    throw new Error(`There is no dtype '${dtype}'; known are ${Object.keys(MODEL_FILES).join(', ')}`)
  }
  return file
}

/** Names of graphs that are needed together, each with those it may have instead; the dtype's ending comes behind. */
type Graphs = readonly (readonly string[])[]

const oneGraph: Graphs = [['model']]
const twoGraphs: Graphs = [['encoder_model'], ['decoder_model_merged']]
/** Where there are several, a folder has one of them. */
const graphs: Readonly<Partial<Record<Task, readonly Graphs[]>>> = {
  'text-generation': [[['model', 'decoder_model_merged']]],
  summarization: [twoGraphs],
  translation: [twoGraphs],
  'text2text-generation': [twoGraphs],
  'image-to-text': [twoGraphs],
  'automatic-speech-recognition': [oneGraph, twoGraphs],
}

/** @returns for each graph of the task the names its file may have. @throws Error on a dtype that no file is known for */
async function graphFilesOf(dir: string, dtype: string, task: Task | undefined): Promise<string[][]> {
  const file = onnxFileOf(dtype)
  const choices = ((task && graphs[task]) ?? [oneGraph]).map((one) =>
    one.map((names) => names.map((name) => file.replace('/model', `/${name}`))),
  )
  for (const choice of choices) if ((await firstThere(dir, choice[0] ?? [])).there) return choice
  return choices[0] ?? []
}

/**
 * @returns the file of each graph of the task, in its order: the first of its names that is there
 * @throws Error naming the file that is missing
 */
export async function findGraphs(dir: string, dtype: string, task: Task): Promise<string[]> {
  const files = await graphFilesOf(dir, dtype, task)
  const found = await Promise.all(files.map((names) => firstThere(dir, names)))
  return found.map(({ file, there }) => {
    if (!there) throw new Error(`The model folder ${dir} lacks ${file} (dtype ${dtype})`)
    return file
  })
}

/** Whether it needs others than a task that reads texts with one graph. */
export function hasOwnFiles(task: Task): boolean {
  return graphs[task] !== undefined || mediaSettings[task] !== undefined
}

/** @returns the first of these files that is there, or else the first */
export async function firstThere(
  dir: string,
  names: readonly string[],
): Promise<{ file: string; there: boolean }> {
  for (const file of names) if (await exists(join(dir, file), 'file')) return { file, there: true }
  return { file: names[0] ?? '', there: false }
}

/**
 * @param task decides which graphs and settings there must be; absent: one graph, `model`, and a tokenizer
 * @param poolingFile path of the pooling settings inside the folder, where the model has any
 * @returns paths relative to `dir`, sorted: every file that decides an answer, external data included
 * @throws Error naming the folder or every required file that is missing
 */
export async function findModelFiles(
  dir: string,
  dtype: string,
  { onnx, task, poolingFile }: { onnx: boolean; task?: Task; poolingFile?: string | undefined },
): Promise<string[]> {
  if (!(await exists(dir, 'directory'))) throw new Error(`The model folder ${dir} does not exist`)
  const graphFiles = await graphFilesOf(dir, dtype, task)
  const onnxFiles = await Promise.all(graphFiles.map(async (names) => (await firstThere(dir, names)).file))
  const settings = await Promise.all(settingsOf(task).map((names) => firstThere(dir, names)))
  const needed = [
    'config.json',
    ...settings.map(({ file }) => file),
    ...(onnx ? onnxFiles : []),
    ...(poolingFile === undefined ? [] : [poolingFile]),
  ]
  const there = await Promise.all(needed.map((file) => exists(join(dir, file), 'file')))
  const missing = needed.filter((_, index) => !there[index])
  if (missing.length > 0) {
    throw new Error(`The model folder ${dir} lacks ${missing.join(', ')} (dtype ${dtype})`)
  }
  const extra = await Promise.all(sentenceFiles.map((file) => exists(join(dir, file), 'file')))
  const data = onnx ? (await Promise.all(onnxFiles.map((file) => externalData(dir, file)))).flat() : []
  return [...needed, ...sentenceFiles.filter((_, index) => extra[index]), ...data].sort()
}

/** Weights beside the graph: `model.onnx_data`, `model.onnx_data_1`, ... or `model.onnx.data`. */
async function externalData(dir: string, onnxFile: string): Promise<string[]> {
  const [folder = '', name = ''] = onnxFile.split('/')
  const entries = await readdir(join(dir, folder))
  return entries
    .filter((entry) => entry.startsWith(`${name}_data`) || entry.startsWith(`${name}.data`))
    .map((entry) => `${folder}/${entry}`)
}

async function exists(path: string, kind: 'file' | 'directory'): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return kind === 'file' ? found?.isFile() === true : found?.isDirectory() === true
}
