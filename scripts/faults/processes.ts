/** Processes of a run: each in a group of its own, so that a Ctrl-C reaches the harness alone, which ends them all. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { COMPILED } from '../../src/program/compiled.ts'
import { plainEnvironment } from '../bench/program.ts'

export type Start = {
  readonly command: string
  readonly args: readonly string[]
  readonly env: { readonly [name: string]: string }
  readonly channel?: true
}

export type Running = {
  readonly child: ChildProcess
  readonly pid: number
  readonly isAlive: () => boolean
  /** Resolves when it has ended, and at once when it has already. */
  readonly gone: Promise<void>
  readonly onLine: (listen: (line: string) => void) => void
  /** The end of what it wrote. */
  readonly output: () => readonly string[]
}

export type Processes = {
  readonly start: (start: Start) => Running
  readonly killAll: () => Promise<void>
}

const KEPT_LINES = 40

export const createProcesses = (): Processes => {
  const alive = new Set<Running>()
  let over = false

  const start = ({ command, args, env, channel }: Start): Running => {
    if (over) throw new Error('the run is over: nothing is started any more')
    const child = spawn(command, args, {
      // Most of what a process does that is killed every few seconds is start.
      env: { ...plainEnvironment(), NODE_COMPILE_CACHE: COMPILED, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...(channel ? (['ipc'] as const) : [])],
      detached: true,
    })
    const output: string[] = []
    const listeners: ((line: string) => void)[] = []
    const take = (line: string): void => {
      output.push(line)
      if (output.length > KEPT_LINES) output.shift()
      for (const listen of listeners) listen(line)
    }
    for (const stream of [child.stdout, child.stderr])
      if (stream !== null) createInterface({ input: stream }).on('line', take)
    const gone = once(child, 'exit').then(
      () => {},
      () => {},
    )
    const running: Running = {
      child,
      pid: child.pid ?? 0,
      isAlive: () => child.pid !== undefined && child.exitCode === null && child.signalCode === null,
      gone,
      onLine: (listen) => listeners.push(listen),
      output: () => output,
    }
    // A message to a process that was killed in this moment is nobody's mistake.
    child.on('error', () => {})
    alive.add(running)
    void gone.then(() => alive.delete(running))
    return running
  }

  return {
    start,
    killAll: async () => {
      over = true
      const left = [...alive]
      for (const { child } of left) child.kill('SIGKILL')
      await Promise.all(left.map(({ gone }) => gone))
    },
  }
}
