/**
 * The name of a prepared model: everything that decides whether its files are right here. Weights packed for one CPU,
 * or by one ONNX Runtime, are wrong or useless for another.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'

/** Counts up when files are prepared in another way. */
const scheme = 'millrace-prepared-2'

export interface PreparedKeyParts {
  /** SHA-256 of each file of the model, by its path inside the folder. */
  readonly files: ReadonlyMap<string, string>
  readonly dtype: string
  readonly engine: string
  /** Version of ONNX Runtime. */
  readonly runtime: string
  readonly platform: string
  /** What the CPU can do. */
  readonly cpu: string
  /** Of the graph: `graphOptimizationLevel`. */
  readonly optimization: string
}

/** @returns 64 hexadecimal digits */
export function preparedKey(parts: PreparedKeyParts): string {
  const { files, dtype, engine, runtime, platform, cpu, optimization } = parts
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  const canonical = JSON.stringify([scheme, sorted, dtype, engine, runtime, platform, cpu, optimization])
  return createHash('sha256').update(canonical).digest('hex')
}

/** The flags of /proc/cpuinfo, sorted; elsewhere the CPU's name. */
export async function cpuTraits(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  return cpuFlags(text) ?? cpus()[0]?.model ?? 'unknown'
}

/** `flags` on x86, `Features` on ARM. */
export function cpuFlags(cpuinfo: string): string | undefined {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1]
  return flags?.trim().split(/\s+/).sort().join(' ')
}

/** Version of the ONNX Runtime that transformers.js loads; read, not loaded. @throws Error where there is none */
export async function runtimeVersion(): Promise<string> {
  const library = createRequire(import.meta.url).resolve('@huggingface/transformers')
  const file = createRequire(library).resolve('onnxruntime-node/package.json')
  const { version }: { version: string } = JSON.parse(await readFile(file, 'utf8'))
  return version
}
