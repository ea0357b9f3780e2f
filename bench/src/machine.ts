/** What every result file says of where it was made, and how its rounds become one figure. */
import { readFileSync } from 'node:fs'
import { arch, cpus, platform, totalmem } from 'node:os'
import { join } from 'node:path'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

export function machine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
  }
}

/** Of Node and the libraries that decide the figures. @param root the repository's */
export function versions(root: string): Record<string, string> {
  const names = [
    '@huggingface/transformers',
    'onnxruntime-node',
    'bullmq',
    'ioredis',
    'hono',
    '@hono/node-server',
  ]
  const version = (name: string) =>
    (
      JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
        version: string
      }
    ).version
  return { node: process.version, ...Object.fromEntries(names.map((name) => [name, version(name)])) }
}
