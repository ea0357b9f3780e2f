/** A model hub on loopback that serves one folder as `owner/name`. For tests only. */
import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface Hub {
  readonly url: string
  /** Paths that were asked for. */
  readonly asked: string[]
  /** Branches and tags that it says the commit of. */
  readonly commits: Map<string, string>
  /** Files that it has no more. */
  readonly lost: Set<string>
  close(): Promise<void>
}

export async function startHub(folder: string): Promise<Hub> {
  const asked: string[] = []
  const commits = new Map<string, string>()
  const lost = new Set<string>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const [, revision = '', file = ''] = /^\/owner\/name\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? []
    const found = statSync(join(folder, file), { throwIfNoEntry: false })
    if (!found?.isFile() || lost.has(file)) return response.writeHead(404).end()
    const commit = commits.get(revision)
    response.writeHead(200, {
      'content-length': found.size,
      ...(commit === undefined ? {} : { 'x-repo-commit': commit }),
    })
    return request.method === 'HEAD' ? response.end() : createReadStream(join(folder, file)).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    commits,
    lost,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
