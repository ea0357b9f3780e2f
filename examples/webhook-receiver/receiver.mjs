/**
 * Receives the webhooks of a Millrace fleet, checks who sent them, and prints each event once.
 * Usage: MILLRACE_WEBHOOK_SECRET=whsec_... node receiver.mjs [PORT]
 * While a secret is changed, give both, separated by a space.
 */
import { createServer } from 'node:http'
import { verifyWebhook } from '@millrace/client'

const { MILLRACE_WEBHOOK_SECRET: secrets } = process.env
const [port = '9000'] = process.argv.slice(2)
/** Messages are about 20 kB at most; whoever sends more is not the fleet. */
const bodyLimit = 100_000
/** A message may come twice, under the same id. A real receiver keeps the ids in its database, beside what it does. */
const seen = new Set()

if (!secrets) {
  process.stderr.write('MILLRACE_WEBHOOK_SECRET is not set; `millrace webhook-secrets show` prints it\n')
  process.exit(2)
}

const server = createServer(async (request, response) => {
  const status = await receive(request).catch((fault) => {
    process.stderr.write(`refused: ${fault.message}\n`)
    return 400
  })
  // Answer soon, work afterwards: the fleet waits 15 s, then tries again.
  response.writeHead(status).end()
})
server.listen(Number(port), '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}/\n`)
})

async function receive(request) {
  const parts = []
  let length = 0
  for await (const part of request) {
    length += part.length
    if (length > bodyLimit) return 413
    parts.push(part)
  }
  // The bytes as they came: parsed and written out again, they would not fit the signature.
  const { id, payload } = await verifyWebhook(request.headers, Buffer.concat(parts), secrets.split(' '))
  if (seen.has(id)) process.stdout.write(`again    ${id}\n`)
  else print(payload)
  seen.add(id)
  return 204
}

function print({ type, data }) {
  const what = data.output_url ?? data.error?.detail ?? words(data.output)
  process.stdout.write(`${type}  ${data.id}  ${what}\n`)
}

function words(output) {
  if (output === null) return 'no output yet'
  return typeof output[0] === 'number' ? `a vector of ${output.length} numbers` : `${output.length} results`
}
