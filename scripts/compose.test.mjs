/** What the compose file promises without a word: that replicas of a worker share what is in MILLRACE_DATA_DIR. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

/** The lines of one service. */
function service(name) {
  const [, rest = ''] = read('docker-compose.yml').split(`\n  ${name}:\n`)
  return rest.split(/\n {0,2}\S/)[0]
}

function stage(name) {
  const [, rest = ''] = read('deploy/Dockerfile').split(new RegExp(`\\nFROM .* AS ${name}\\n`))
  return rest.split('\nFROM ')[0]
}

test('all replicas of a worker prepare and map the same files: one named volume lies where their data is', () => {
  const dataDir = /MILLRACE_DATA_DIR=(\S+)/.exec(stage('worker'))?.[1]
  const volumes = [...service('worker').matchAll(/^ {6}- (\w+):(\/\S+)$/gm)].map(([, name, path]) => ({
    name,
    path,
  }))
  expect(dataDir).toBe('/data')
  expect(volumes).toEqual([{ name: 'downloads', path: dataDir }])
  expect(read('docker-compose.yml')).toMatch(/^volumes:\n(?: {2}\w+:\n)* {2}downloads:$/m)
})

test('the user of a container may write where its data is, for a new volume takes over owner and mode', () => {
  expect(stage('worker')).toMatch(/mkdir \/data && chown 1000:1000 \/data/)
  expect(stage('worker')).toContain('USER 1000:1000')
})

test.each(['gateway', 'worker', 'worker-cuda', 'courier'])(
  'the image of a %s keeps one heap for all its threads',
  (name) => {
    expect(stage(name)).toContain('MALLOC_ARENA_MAX=1')
  },
)
