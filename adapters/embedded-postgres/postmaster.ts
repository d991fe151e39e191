/** One run of the server process: begun when it accepts connections, ended when it is gone. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Account } from './account.ts'
import type { Programs } from './programs.ts'
import { runInDirectory } from './run-in-directory.ts'

export type Postmaster = {
  readonly pid: number
  /** Resolves, never rejects, when the process is gone; tells how. */
  readonly gone: Promise<string>
  stop(): Promise<void>
}

export type PostmasterOptions = {
  readonly directory: string
  readonly programs: Programs
  readonly account: Account
  readonly port: number
  /** `name → value` for the server's `-c`. */
  readonly settings: Readonly<Record<string, string>>
  readonly onLog: (line: string) => void
}

/** Thrown when the server ended before it accepted connections; `log` holds what it said. */
export class PostgresDidNotStart extends Error {
  override readonly name = 'PostgresDidNotStart'
  readonly log: string

  constructor(how: string, log: string) {
    super(`PostgreSQL did not start (${how}). It said:\n${log}`)
    this.log = log
  }
}

/** An orderly program ends within 10 s, so its database must not take longer than that. */
const fastStopMs = 6_000
const immediateStopMs = 2_000

/** Goes on with "connections", or with "read-only connections" on a standby. */
const readyLine = 'database system is ready to accept'

export const startPostmaster = async (options: PostmasterOptions): Promise<Postmaster> => {
  const child = await runInDirectory({
    program: options.programs.postgres,
    directory: options.directory,
    account: options.account,
    args: (at) => [
      ...['-D', `${at}/data`, '-p', String(options.port)],
      ...Object.entries(options.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    detached: true,
  })
  const pid = child.pid
  if (pid === undefined) throw new Error('PostgreSQL was started and has no pid')
  const gone = new Promise<string>((resolve) => {
    child.once('exit', (status, signal) => resolve(signal ?? `status ${status}`))
  })

  // When this program ends without an orderly stop, the server gets the signal for one and ends by itself.
  const onExit = (): void => void child.kill('SIGINT')
  process.once('exit', onExit)
  void gone.then(() => process.off('exit', onExit))

  await ready(child, gone, options.onLog)
  return { pid, gone, stop: () => stop(child, gone) }
}

const ready = async (child: ChildProcess, gone: Promise<string>, onLog: (line: string) => void): Promise<void> => {
  const lines: string[] = []
  let began = false
  const begun = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        onLog(line)
        if (began) return
        lines.push(line)
        began = line.includes(readyLine)
        if (began) resolve()
      })
    }
  })
  // 'close' comes after the last line was read, 'exit' may come before.
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await Promise.race([begun, closed])
  if (!began) throw new PostgresDidNotStart(await gone, lines.slice(-20).join('\n'))
}

const stop = async (child: ChildProcess, gone: Promise<string>): Promise<void> => {
  const within = (ms: number): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), ms)
    void gone.then(() => resolve(true))
    return promise.finally(() => clearTimeout(timer))
  }
  child.kill('SIGINT')
  if (await within(fastStopMs)) return
  // Costs a recovery at the next start and no data.
  child.kill('SIGQUIT')
  if (await within(immediateStopMs)) return
  child.kill('SIGKILL')
  await gone
}
