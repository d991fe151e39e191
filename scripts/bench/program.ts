/**
 * Programs that a measure runs: each in a process group of its own (a Ctrl-C reaches the benchmark alone, which
 * ends them in order), ended by its pid, its output kept for when something goes wrong.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import type { Bench } from './bench.ts'

export type ProgramStart = {
  readonly what: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: { readonly [name: string]: string | undefined }
  readonly cwd?: string
  /** With a channel for messages, typed arrays among them. */
  readonly channel?: true
  /** How it is asked to end. Default: SIGTERM. */
  readonly askToEnd?: (child: ChildProcess) => void
  /** What takes longer to end is killed. Default: 12 s. */
  readonly endWithinMs?: number
}

export type Program = {
  readonly pid: number
  readonly child: ChildProcess
  /** What it wrote so far, a line each, bounded. */
  readonly output: () => readonly string[]
  /** The first line of stdout that this makes something of. Rejects when the program ends before it comes. */
  readonly line: <A>(read: (line: string) => A | null, withinMs: number) => Promise<A>
  /** Sends one message over the channel and waits for one back. Rejects when the program ends before that. */
  readonly ask: (message: unknown) => Promise<unknown>
  readonly signal: (signal: NodeJS.Signals) => void
  readonly stop: () => Promise<void>
}

const END_WITHIN_MS = 12_000
const KEPT_LINES = 200

/** What a program needs of the benchmark's own environment; settings of the person's shell must not get in. */
export const plainEnvironment = (): { readonly [name: string]: string | undefined } => ({
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  LANG: process.env.LANG,
  TMPDIR: process.env.TMPDIR,
})

export const startProgram = async (bench: Bench, start: ProgramStart): Promise<Program> => {
  const child = spawn(start.command, start.args, {
    cwd: start.cwd,
    env: { ...plainEnvironment(), ...start.env },
    stdio: ['ignore', 'pipe', 'pipe', ...(start.channel ? (['ipc'] as const) : [])],
    detached: true,
    serialization: 'advanced',
  })
  const gone = once(child, 'close').then(
    ([code, signal]) => String(signal ?? `status ${code}`),
    (error: Error) => error.message,
  )
  await once(child, 'spawn')
  const output: string[] = []
  const readers = new Set<(line: string) => void>()
  const keep = (line: string): void => {
    output.push(line)
    if (output.length > KEPT_LINES) output.shift()
  }
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on('line', (line) => {
      keep(line)
      for (const read of [...readers]) read(line)
    })
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', keep)

  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null
  const stop = async (): Promise<void> => {
    if (ended()) return
    if (start.askToEnd === undefined) child.kill('SIGTERM')
    else start.askToEnd(child)
    const withinMs = start.endWithinMs ?? END_WITHIN_MS
    const late = AbortSignal.timeout(withinMs)
    await Promise.race([gone, once(late, 'abort')])
    if (ended()) return
    bench.say(`${start.what} did not end within ${withinMs / 1000} s and is killed`)
    child.kill('SIGKILL')
    await gone
  }
  bench.ends(start.what, stop)

  const failure = (how: string): Error =>
    new Error(`${start.what}: ${how}${output.length === 0 ? '' : `\n${output.slice(-20).join('\n')}`}`)
  return {
    pid: child.pid ?? 0,
    child,
    output: () => output,
    line: (read, withinMs) =>
      new Promise((resolve, reject) => {
        const done = (settle: () => void): void => {
          readers.delete(look)
          clearTimeout(timer)
          settle()
        }
        const look = (line: string): void => {
          const value = read(line)
          if (value !== null) done(() => resolve(value))
        }
        const timer = setTimeout(
          () => done(() => reject(failure(`did not say what it was waited for within ${withinMs} ms`))),
          withinMs,
        )
        readers.add(look)
        void gone.then((how) => done(() => reject(failure(`ended (${how})`))))
      }),
    ask: (message) => {
      const answer = once(child, 'message').then(([value]) => value as unknown)
      child.send(message as object)
      return Promise.race([
        answer,
        gone.then((how) => {
          throw failure(`ended (${how})`)
        }),
      ])
    },
    signal: (signal) => void child.kill(signal),
    stop,
  }
}

/** The URL of the line that a server writes when it is ready for traffic. */
export const listeningUrl = (line: string): string | null => {
  if (!line.startsWith('{')) return null
  const { msg, url } = JSON.parse(line) as { msg?: unknown; url?: unknown }
  return msg === 'listening' && typeof url === 'string' ? url : null
}

/** Asks again until it is so. Throws when it is not within the time. */
export const until = async (what: string, withinMs: number, isSo: () => Promise<boolean>): Promise<void> => {
  for (const deadline = performance.now() + withinMs; !(await isSo()); await wait(100))
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1000} s`)
}
