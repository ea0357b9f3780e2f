/**
 * Which files of a model folder decide its answers, and whether they are there. Reads directory entries only.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMediaForm, type Task, taskContracts } from '@millrace/contracts'

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

const takesMedia = (task: Task) => isMediaForm(taskContracts[task].input)

/** What a task cannot do without, beside its ONNX file. */
function requiredFor(task: Task): string[] {
  // A speech model's words lie in one of several files: its task looks for them.
  return takesMedia(task) ? ['config.json', processorFile] : ['config.json', ...tokenizerFiles]
}

/** What a hub is asked for before the graph. It need not have each: findModelFiles tells what is lacking. */
export function settingsFiles(task: Task): string[] {
  return [...tokenizerFiles, ...(takesMedia(task) ? [processorFile] : []), ...sentenceFiles]
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

/**
 * @param poolingFile path of the pooling settings inside the folder, where the model has any
 * @returns paths relative to `dir`, sorted: every file that decides an answer, external data included
 * @throws Error naming the folder or every required file that is missing
 */
export async function findModelFiles(
  dir: string,
  dtype: string,
  {
    onnx,
    poolingFile,
    task = 'feature-extraction',
  }: { onnx: boolean; poolingFile?: string | undefined; task?: Task },
): Promise<string[]> {
  const onnxFile = onnxFileOf(dtype)
  if (!(await exists(dir, 'directory'))) throw new Error(`The model folder ${dir} does not exist`)
  const needed = [
    ...requiredFor(task),
    ...(onnx ? [onnxFile] : []),
    ...(poolingFile === undefined ? [] : [poolingFile]),
  ]
  const there = await Promise.all(needed.map((file) => exists(join(dir, file), 'file')))
  const missing = needed.filter((_, index) => !there[index])
  if (missing.length > 0) {
    throw new Error(`The model folder ${dir} lacks ${missing.join(', ')} (dtype ${dtype})`)
  }
  const extra = await Promise.all(sentenceFiles.map((file) => exists(join(dir, file), 'file')))
  const data = onnx ? await externalData(dir, onnxFile) : []
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
