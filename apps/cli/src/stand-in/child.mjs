/**
 * Stands in for a gateway, worker or courier in the launcher's tests: announces itself, answers /readyz, stops on SIGTERM,
 * writes down what happened to it. STAND_IN_<ROLE> chooses a misbehaviour, STAND_IN_LOG the file written to.
 */
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

export function standIn(role, port) {
  const behaviour = process.env[`STAND_IN_${role.toUpperCase()}`] ?? ''
  const note = (what) => appendFileSync(process.env.STAND_IN_LOG, `${role} ${what} ${process.pid}\n`)
  note('started')
  if (behaviour === 'config-fault') {
    console.error('PORT: must be a number')
    process.exit(78)
  }
  if (behaviour === 'crash') process.exit(3)
  const ready = behaviour !== 'never-ready'
  const server = createServer((_request, response) =>
    response.writeHead(ready ? 200 : 503).end('no model yet'),
  )
  server.listen(port, '127.0.0.1', () => {
    process.send({ type: 'listening', url: `http://127.0.0.1:${server.address().port}` })
  })
  process.on('SIGTERM', () => {
    note('stopped')
    if (behaviour !== 'ignores-stop') process.exit(0)
  })
  process.on('disconnect', () => process.exit(0))
}
