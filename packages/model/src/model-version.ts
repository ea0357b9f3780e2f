/** The version of a model: one digest over everything that decides its answers. Part of every content key. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Device } from '@millrace/contracts'
import type { OutputRule } from './engine.js'

/** Counts up when the same files begin to give other answers: pooling, tokenizing or the engine changed. */
const scheme = 'millrace-model-1'

export interface VersionParts {
  /** Hub id, or `local`: where a folder lies makes no difference. */
  readonly source: string
  /** Pinned hub revision, or empty. */
  readonly revision: string
  readonly dtype: string
  /**
   * Another device has other kernels: fp16 is computed in fp16 there and in fp32 on the CPU, CUDA multiplies fp32 by
   * TensorFloat-32 (10 bits), which changes answers by about 1e-3, and one cache must not hold both. Machines
   * with the same device share answers: these differ by rounding alone.
   */
  readonly device: Device
  readonly output: OutputRule
  /** Name of the engine module. */
  readonly engine: string
  /** SHA-256 of each file, by its path inside the model folder. */
  readonly files: ReadonlyMap<string, string>
}

/** @returns 64 hexadecimal digits */
export function modelVersion({
  source,
  revision,
  dtype,
  device,
  output,
  engine,
  files,
}: VersionParts): string {
  const canonical = JSON.stringify([
    scheme,
    source,
    revision,
    dtype,
    wordsOf(output),
    engine,
    // The CPU goes unnamed, as it always did.
    ...(device === 'cpu' ? [] : [device]),
    [...files].sort(([a], [b]) => (a < b ? -1 : 1)),
  ])
  return createHash('sha256').update(canonical).digest('hex')
}

function wordsOf(output: OutputRule): (string | number | boolean)[] {
  switch (output.kind) {
    case 'pooled':
      return [output.pooling.mode, output.pooling.normalize]
    case 'scores':
      return [output.activation]
    case 'objects':
      return [output.kind, output.classes]
    case 'frames':
      return [output.kind, output.classes, output.rate, output.normalize]
    case 'candidates':
      return [output.kind, output.maskTokenId, output.most]
    case 'logits':
      return [output.kind, output.of]
    case 'generated':
      return [JSON.stringify(output)]
  }
}

/** Weights may be larger than memory; read through one buffer, they leave no garbage behind. */
const readBytes = 1 << 20

/** @returns SHA-256 of each file, by its path */
export async function digestFiles(dir: string, files: readonly string[]): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  for (const file of files) digests.set(file, await digestFile(join(dir, file), buffer))
  return digests
}

async function digestFile(path: string, buffer: Buffer): Promise<string> {
  const hash = createHash('sha256')
  const file = await open(path, 'r')
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, bytesRead))
    }
  } finally {
    await file.close()
  }
}
