import { MillraceError } from '@millrace/contracts'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { GatewayEnv } from '../context.js'
import { problemResponse, toMillraceError } from '../error-response.js'
import { docsPage, docsPath } from './docs-page.js'

function site() {
  const app = new Hono<GatewayEnv>()
  const docs = docsPage()
  app.get(docsPath, docs)
  app.get(`${docsPath}/:file`, docs)
  app.onError((error) => problemResponse(toMillraceError(error), 'r'))
  app.notFound(() => problemResponse(new MillraceError('not_found', 'nothing here'), 'r'))
  return (path: string, headers: Record<string, string> = {}) => app.request(path, { headers })
}

const linksOf = (html: string) => [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link = '']) => link)

test('the page is HTML that may load from this host alone', async () => {
  const response = await site()('/docs')
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
  const policy = response.headers.get('content-security-policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toMatch(/https?:|\*|unsafe/)
})

test('the page and its script refer to no other host, and to nothing that is not served', async () => {
  const ask = site()
  const html = await (await ask('/docs')).text()
  const starts = await (await ask('/docs/start.js')).text()
  for (const text of [html, starts]) expect(text).not.toMatch(/(https?:)?\/\//)
  expect(starts).toContain("url: 'openapi.json'")
  const links = linksOf(html)
  expect(links).toHaveLength(4)
  for (const link of links) expect([link, (await ask(`/${link}`)).status]).toEqual([link, 200])
})

test.each([
  ['swagger-ui.css', 'text/css; charset=utf-8', '.swagger-ui'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8', 'SwaggerUIBundle'],
  ['start.js', 'text/javascript; charset=utf-8', 'SwaggerUIBundle('],
  ['favicon-32x32.png', 'image/png', 'PNG'],
])('%s is served as %s', async (name, type, content) => {
  const response = await site()(`/docs/${name}`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe(type)
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect(await response.text()).toContain(content)
})

test('what a browser has already is not sent again', async () => {
  const ask = site()
  const etag = (await ask('/docs/swagger-ui-bundle.js')).headers.get('etag') ?? ''
  const again = await ask('/docs/swagger-ui-bundle.js', { 'if-none-match': etag })
  expect([again.status, await again.text()]).toEqual([304, ''])
  expect((await ask('/docs/swagger-ui-bundle.js', { 'if-none-match': '"other"' })).status).toBe(200)
})

test.each([
  'index.html',
  'package.json',
  'swagger-initializer.js',
  'oauth2-redirect.html',
  'swagger-ui-bundle.js.map',
  '..%2fpackage.json',
  '%2e%2e%2fpackage.json',
  '..%5cpackage.json',
  '__proto__',
  'constructor',
  '',
  'x/y',
])('/docs/%s is not there', async (path) => {
  expect((await site()(`/docs/${path}`)).status).toBe(404)
})
