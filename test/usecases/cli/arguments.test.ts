import { expect } from 'chai'
import { type Command, CommanderError } from 'commander'
import type { Context } from '../../../src/cli/context.ts'
import { createProgram } from '../../../src/cli/program.ts'

/** Anything that a command would do is a mistake here: its arguments are wrong. */
const context = new Proxy({} as Context, {
  get: (_, name) => (name === 'terminal' ? undefined : () => expect.fail(`${String(name)} was used`)),
})

const parse = async (args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> => {
  let said = ''
  const write = (text: string): void => {
    said += text
  }
  try {
    await createProgram(context, { writeErr: write, writeOut: write }).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return { code: error.exitCode, said }
    throw error
  }
  return { code: 0, said }
}

describe('arguments of the command line', () => {
  const wrong: readonly (readonly [args: string, complaint: string])[] = [
    ['', 'Usage:'],
    ['sesion', 'Did you mean session?'],
    ['session', 'Usage: streamspace session'],
    ['session bogus', "unknown command 'bogus'"],
    ['session stop', "missing required argument 'session'"],
    ['session list --bogus', "unknown option '--bogus'"],
    ['session list --status runing', 'must be one of: pending, scheduling, running'],
    ['session list --status running,', 'must be one word, or several'],
    ['session list --limit 0', 'must be a whole number, 1 or more'],
    ['session list --limit 1.5', 'must be a whole number, 1 or more'],
    ['session stop x --timeout -1', 'must be a number of seconds above 0'],
    ['session create hello-web too-many', 'too many arguments'],
    ['session create hello-web --param no-value', 'must be name=value'],
    ['session create hello-web --env A=1 --env A=2', 'A is given twice'],
    ['session create hello-web --cpu-millis 99999999999', 'must be a whole number from 1 to'],
    ['agent enrol edge-1', "required option '--platform <platform>' not specified"],
    ['agent get not/an/id', 'must be 1–63 letters'],
    ['agent enrol edge-1 --platform process --shared --org x', 'cannot be used with'],
    ['template apply', "required option '-f, --file <path>' not specified"],
  ]
  for (const [args, complaint] of wrong)
    it(`refuses "streamspace ${args}"`, async () => {
      const { code, said } = await parse(args.split(' ').filter((word) => word !== ''))
      expect(code).not.to.equal(0)
      expect(said).to.contain(complaint)
    })

  it('has help with examples for every command', async () => {
    const paths: string[][] = []
    const visit = (command: Command, path: readonly string[]): void => {
      for (const inner of command.commands) {
        paths.push([...path, inner.name()])
        visit(inner, [...path, inner.name()])
      }
    }
    visit(createProgram(context), [])
    expect(paths.length).to.be.greaterThan(30)
    for (const path of [[], ...paths]) {
      const { code, said } = await parse([...path, '--help'])
      expect(code).to.equal(0)
      expect(said, path.join(' ')).to.match(/Examples:\n {2}streamspace /)
    }
  })

  it('asks for 50 of what may be many and for all of what is few', () => {
    const program = createProgram(context)
    const limitOf = (path: readonly string[]): unknown => {
      let command = program
      for (const name of path) command = command.commands.find((inner) => inner.name() === name) ?? expect.fail(name)
      return command.opts().limit
    }
    expect(limitOf(['session', 'list'])).to.equal(50)
    expect(limitOf(['command', 'list'])).to.equal(50)
    expect(limitOf(['session', 'events'])).to.equal(undefined)
    expect(limitOf(['agent', 'list'])).to.equal(undefined)
  })
})
