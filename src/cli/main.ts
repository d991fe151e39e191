import { CommanderError } from 'commander'
import { ExitError } from '../program/exit-error.ts'
import { type Context, processContext } from './context.ts'
import { explain, isExplained } from './explain.ts'
import { createProgram } from './program.ts'
import { endQuietlyOnClosedPipe } from './terminal.ts'

/** The exit status: 0 done, 1 failed, 2 asked wrongly. What went wrong has been said on stderr. */
export const main = async (args: readonly string[]): Promise<number> => {
  const context = processContext(endQuietlyOnClosedPipe(process))
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    return told(context, error)
  }
}

const told = async (context: Context, error: unknown): Promise<number> => {
  const say = (message: string): void => context.terminal.note(`streamspace: ${message}`)
  // Commander has printed what there was to say. Help that was asked for is no mistake.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof ExitError) {
    if (error.message !== '') say(error.message)
    return error.exitCode
  }
  if (isExplained(error)) {
    say(explain(error, await context.connection()).join('\n'))
    return 1
  }
  say(`a fault of the program: ${error instanceof Error ? error.stack : String(error)}`)
  return 1
}
