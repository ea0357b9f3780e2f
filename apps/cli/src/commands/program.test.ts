import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { faultOf } from './fault-words.js'
import { millraceProgram } from './program.js'

async function millrace(...args: string[]) {
  const said = { out: '', err: '' }
  const program = millraceProgram()
  const listen = (command: Command) => {
    command.configureOutput({
      writeOut: (text) => {
        said.out += text
      },
      writeErr: (text) => {
        said.err += text
      },
    })
    command.commands.forEach(listen)
  }
  listen(program)
  const code = await program.parseAsync(args, { from: 'user' }).then(
    () => 0,
    (error: unknown) => faultOf(error).code,
  )
  return { code, ...said }
}

const names = [
  'up',
  'models',
  'prepare',
  'status',
  'run',
  'submit',
  'wait',
  'cancel',
  'keys',
  'webhook-secrets',
]

test('the help names every command', async () => {
  const { code, out } = await millrace('--help')
  expect(code).toBe(0)
  for (const name of names) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'))
})

test.each(names)('%s has a help with examples', async (name) => {
  const { code, out } = await millrace(name, '--help')
  expect(code).toBe(0)
  expect(out).toMatch(/Examples?:\n {2}\$ /)
})

test.each([
  ['an unknown command', ['nonsense']],
  ['an unknown option', ['up', '--nonsense']],
  ['a command in a command without its option', ['keys', 'create']],
  ['a value out of range', ['up', '--workers', '0']],
])('%s ends with 2 and points to the help', async (_what, args) => {
  const { code, err } = await millrace(...args)
  expect(code).toBe(2)
  expect(err).toMatch(/^error: .*\n\(add --help for the options\)\n$/s)
})
