/** What an e2e test of image and audio tasks needs beside api.ts: the fixture files, forms with files, and a server of files. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Answer, call, root } from './api.js'

export const media = (name: string): Buffer => readFileSync(join(root, 'models/fixtures/media', name))
export const referenceOf = (name: string) =>
  JSON.parse(readFileSync(join(root, 'models/fixtures', name, 'reference.json'), 'utf8'))
export const dataUrl = (bytes: Buffer, type = 'image/png'): string =>
  `data:${type};base64,${bytes.toString('base64')}`

/** A form; a Buffer is sent as a file. */
export function upload(
  url: string,
  fields: readonly (readonly [string, string | Buffer])[],
  headers: Record<string, string> = {},
): Promise<Answer> {
  const form = new FormData()
  for (const [name, value] of fields) {
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, new File([new Uint8Array(value)], 'file'))
  }
  return call(url, '/v1/jobs', { method: 'POST', body: form, headers })
}

/** Serves the fixture files by name, `/moved` as a redirect to one, and lies about every type. */
export async function fileServer(): Promise<{ url: string; asked: string[]; close: () => void }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (request.url === '/moved') {
      response.writeHead(302, { location: '/scene.png' }).end()
      return
    }
    try {
      const bytes = media((request.url ?? '/').slice(1))
      response.writeHead(200, { 'content-type': 'text/html' }).end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

export function expectClose(found: readonly number[], wanted: readonly number[], tolerated = 1e-4): void {
  if (found.length !== wanted.length) throw new Error(`${found.length} numbers, not ${wanted.length}`)
  const largest = Math.max(...wanted.map((value, at) => Math.abs((found[at] ?? Number.NaN) - value)))
  if (!(largest < tolerated)) throw new Error(`differs by ${largest}`)
}
