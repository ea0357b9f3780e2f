/**
 * GET /docs: the API description as a page one can try requests from (Swagger UI). Everything it loads comes from this
 * gateway: four files by name, nothing else of the package, and no other host.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { MillraceError } from '@millrace/contracts'
import type { RequestContext } from '../context.js'

export const docsPath = '/docs'

/** Links are relative, so that the page also works behind a proxy that adds a path in front. */
const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Millrace API</title>
    <link rel="stylesheet" href="docs/swagger-ui.css">
    <link rel="icon" type="image/png" href="docs/favicon-32x32.png">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
`

/** validatorUrl: the badge would send the description's address to swagger.io. */
const start = `SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
})
`

const script = 'text/javascript; charset=utf-8'
/** Of swagger-ui-dist, by name, with their types. */
const packaged: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', script],
  ['favicon-32x32.png', 'image/png'],
])

/** Swagger UI draws with data: images. */
const onlyFromHere = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

interface DocsFile {
  bytes: Buffer<ArrayBuffer>
  type: string
  etag: string
}

/** For `/docs` and `/docs/:file`. Files are read at the first request and kept. @throws MillraceError not_found */
export function docsPage() {
  const files = new Map<string, Promise<DocsFile>>([
    ['', Promise.resolve(docsFile(Buffer.from(page), 'text/html; charset=utf-8'))],
    ['start.js', Promise.resolve(docsFile(Buffer.from(start), script))],
  ])
  return async (c: RequestContext): Promise<Response> => {
    const name = c.req.param('file') ?? ''
    const type = packaged.get(name)
    if (type !== undefined && !files.has(name)) {
      const reading = readPackaged(name, type)
      files.set(name, reading)
      reading.catch(() => files.delete(name))
    }
    const file = await files.get(name)
    if (!file) throw new MillraceError('not_found', `There is no ${c.req.method} ${c.req.path}`)
    return answer(c, file)
  }
}

function answer(c: RequestContext, { bytes, type, etag }: DocsFile): Response {
  const headers = {
    'content-type': type,
    'content-security-policy': onlyFromHere,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    // Asked for again each time, and answered with 304 until the gateway is another one.
    'cache-control': 'no-cache',
    etag,
  }
  if (c.req.header('if-none-match') === etag) return c.body(null, 304, headers)
  return c.body(bytes, 200, headers)
}

/** By the package's own manifest: its main module would load the whole page's code into this process. */
async function readPackaged(name: string, type: string): Promise<DocsFile> {
  const manifest = createRequire(import.meta.url).resolve('swagger-ui-dist/package.json')
  return docsFile(await readFile(join(dirname(manifest), name)), type)
}

function docsFile(bytes: Buffer<ArrayBuffer>, type: string): DocsFile {
  return { bytes, type, etag: `"${createHash('sha256').update(bytes).digest('base64url')}"` }
}
