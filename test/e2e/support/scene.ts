/**
 * Where one test, or one suite, happens: its folders, its programs, and their end. Whatever happened, exactly
 * what was started here is ended, and the folders are gone.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { COMPILED } from '../../../src/program/compiled.ts'
import { eventually } from './eventually.ts'
import { endProcessesOf, signal } from './processes.ts'

export const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')

export type Environment = { readonly [name: string]: string }

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type Program = {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  readonly ended: () => Ended | null
  /** How it ended, all of its output read. Fails when it takes longer. */
  readonly end: (within?: number) => Promise<Ended>
  readonly signal: (name: NodeJS.Signals) => void
  /** The first line of its stdout that is JSON and has this `msg`. */
  readonly told: (msg: string, within?: number) => Promise<{ readonly [field: string]: unknown }>
}

export type Start = {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Environment
  readonly cwd?: string
  /** A process group of its own, as a terminal gives to what it runs. */
  readonly detached?: boolean
}

export type Scene = {
  /** A folder of its own that other users can pass through, as sessions may run as users of their own. */
  readonly folder: () => Promise<string>
  readonly start: (what: Start) => Program
  /** Done at the end, the latest first. */
  readonly finally: (ending: () => Promise<unknown>) => void
}

/** Nothing of what the person who runs the tests has set for a StreamSpace of their own. */
const ourEnvironment = (): Environment => {
  const ours = /^(STREAMSPACE_|DATABASE_URL$|PORT$|HOST$|LOG_LEVEL$|NO_COLOR$|npm_)/
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || ours.test(name) ? [] : [[name, value]],
    ),
  )
}

/** Call it inside `describe`. `each`: every test gets a scene of its own. */
export const scene = (lasts: 'suite' | 'each'): Scene => {
  const endings: (() => Promise<unknown>)[] = []

  const end = async (): Promise<void> => {
    const failures: unknown[] = []
    for (const ending of endings.splice(0).reverse()) await ending().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
  if (lasts === 'suite') after(end)
  else afterEach(end)

  return {
    finally: (ending) => void endings.push(ending),
    folder: async () => {
      const path = await realpath(await mkdtemp(join(tmpdir(), 'streamspace-e2e-')))
      await chmod(path, 0o755)
      endings.push(async () => {
        await endProcessesOf(path)
        await eventually(() => rm(path, { recursive: true, force: true }), { within: 2_000 })
        await forgetUsersOf(path)
      })
      return path
    },
    start: (what) => {
      const program = begin(what)
      endings.push(async () => {
        // In order where it still can: what ended so has also written down which lines of it ran.
        if (program.ended() === null) program.signal('SIGTERM')
        await program.end(6_000).catch(() => {
          program.signal('SIGKILL')
          return program.end(5_000)
        })
      })
      return program
    },
  }
}

/** Agents that run as root note outside of their folder which users their sessions have. */
const forgetUsersOf = async (path: string): Promise<void> => {
  const claims = '/var/run/streamspace/uids'
  for (const name of await readdir(claims).catch(() => []))
    if ((await readFile(join(claims, name), 'utf8').catch(() => '')).startsWith(`${path}/`))
      await rm(join(claims, name))
}

/** Also the first files of the program, before it keeps what is compiled by itself: a fifth of what a short command takes. */
const compiled: Environment = process.env.NODE_V8_COVERAGE === undefined ? { NODE_COMPILE_CACHE: COMPILED } : {}

const begin = ({ command, args, env = {}, cwd = root, detached = false }: Start): Program => {
  const child: ChildProcess = spawn(command, [...args], {
    cwd,
    env: { ...ourEnvironment(), ...compiled, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached,
  })
  const { pid } = child
  // A made-up pid would be somebody else's; and -1 is everybody's.
  if (pid === undefined) {
    child.on('error', () => {})
    throw new Error(`${command} could not be started`)
  }
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
    })
  let ended: Ended | null = null
  child.on('error', (error) => {
    said.stderr += String(error)
    ended ??= { code: null, signal: null }
  })
  /** Also all that it said has arrived. */
  let over = false
  child.on('exit', (code, by) => {
    ended = { code, signal: by }
    // What it leaves behind, such as its agent, may keep its pipes open for as long as it likes.
    setTimeout(() => {
      over = true
    }, 500).unref()
  })
  child.on('close', () => {
    over = true
  })
  const shown = (): string => `${command} ${args.join(' ')}\n--- stdout\n${said.stdout}\n--- stderr\n${said.stderr}`
  return {
    pid,
    stdout: () => said.stdout,
    stderr: () => said.stderr,
    ended: () => ended,
    // A program that has ended has no pid any more; its number may be another's.
    signal: (name) => {
      if (ended === null) signal(pid, name)
    },
    end: (within = 10_000) =>
      eventually(
        () => {
          if (ended === null || !over) throw new Error(`it has not ended: ${shown()}`)
          return ended
        },
        { within },
      ),
    told: async (msg, within = 30_000) => {
      const found = await eventually(
        () => {
          const line = lines(said.stdout).find((one) => one.msg === msg)
          if (line !== undefined || ended !== null) return line
          throw new Error(`it has not said ${msg}: ${shown()}`)
        },
        { within },
      )
      if (found === undefined) throw new Error(`it ended without saying ${msg}: ${JSON.stringify(ended)} ${shown()}`)
      return found
    },
  }
}

const lines = (text: string): { readonly [field: string]: unknown }[] =>
  text.split('\n').flatMap((line) => {
    try {
      const parsed: unknown = JSON.parse(line)
      return typeof parsed === 'object' && parsed !== null ? [parsed as { [field: string]: unknown }] : []
    } catch {
      return []
    }
  })
