/** Runs the real program, as a person's shell does, in a directory and an environment of the test's own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export const CLI = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url))

export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

export type Surroundings = {
  readonly env?: { readonly [name: string]: string }
  readonly cwd?: string
  readonly stdin?: string
}

export const runCli = async (args: readonly string[], { env = {}, cwd, stdin = '' }: Surroundings): Promise<Ran> =>
  runProgram(process.execPath, [CLI, ...args], { env, ...(cwd === undefined ? {} : { cwd }), stdin })

export const runProgram = async (
  program: string,
  args: readonly string[],
  { env = {}, cwd = tmpdir(), stdin = '' }: Surroundings,
): Promise<Ran> => {
  // Nothing of the environment of whoever runs the tests: a STREAMSPACE_URL there is a real server.
  // But what is run is to count as covered.
  const { PATH, NODE_V8_COVERAGE } = process.env
  const child = spawn(program, args, {
    cwd,
    env: { PATH, HOME: cwd, ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }), ...env },
  })
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, stdout, stderr }
}

export const inTemporaryDirectory = async <A>(use: (directory: string) => Promise<A>): Promise<A> => {
  const directory = await mkdtemp(join(tmpdir(), 'streamspace-cli-'))
  try {
    return await use(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
