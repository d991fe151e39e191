/** Runs one program of the toolchain and waits for its end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, setPriority } from 'node:os'

export type Program = {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  /** Where its output goes; this terminal when not said. A number is an open file. */
  readonly output?: 'ignore' | number
  /** How much it and what it starts stand back for others (`nice`), 0 to 19. */
  readonly niceness?: number
}

/**
 * The exit status; 128 + n when signal n ended it, as a shell says it.
 * A terminal sends Ctrl-C to the program as well; from elsewhere (`kill`) it is passed on as SIGINT, on which
 * mocha still runs its teardown.
 */
export const runProgram = async ({
  command,
  args,
  cwd,
  env = process.env,
  output,
  niceness = 0,
}: Program): Promise<number> => {
  const child = spawn(command, args, { cwd, env, stdio: output === undefined ? 'inherit' : ['ignore', output, output] })
  if (child.pid !== undefined && niceness > 0) setPriority(child.pid, niceness)
  const passOn = (): void => void child.kill('SIGINT')
  const leaveToChild = (): void => {}
  process.on('SIGTERM', passOn)
  process.on('SIGINT', leaveToChild)
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
  } finally {
    process.off('SIGTERM', passOn)
    process.off('SIGINT', leaveToChild)
  }
}
