/**
 * Processes of this machine as the system shows them: who belongs to a folder, who belongs to a session. Each
 * test works in a folder of its own, so that whatever it started, in however many steps, is found by it.
 */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'

export type Shown = {
  readonly pid: number
  readonly parent: number
  readonly command: string
  readonly environment: string
  readonly cwd: string
}

const run = promisify(execFile)

/** Of a file or a link; what cannot be read (the process is gone, or a zombie) is empty. */
const quietly = (read: () => string): string => {
  try {
    return read()
  } catch {
    return ''
  }
}

/** Read in one go: a look at all processes takes milliseconds, and nobody is between two of them. */
const fromProc = (pids: readonly string[]): readonly Shown[] =>
  pids.map((pid) => ({
    pid: Number(pid),
    // Its second field is a name, with whatever blanks and parentheses that has.
    parent: Number(
      quietly(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
        .split(')')
        .at(-1)
        ?.trim()
        .split(' ')[1],
    ),
    command: quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', '\n'),
    environment: quietly(() => readFileSync(`/proc/${pid}/environ`, 'utf8')).replaceAll('\0', '\n'),
    cwd: quietly(() => readlinkSync(`/proc/${pid}/cwd`)),
  }))

/** Without /proc (macOS): ps shows the environment behind the command, of one's own processes. */
const fromPs = async (): Promise<readonly Shown[]> => {
  const { stdout } = await run('ps', ['-axwwE', '-o', 'pid=,ppid=,command='], { maxBuffer: 64 * 1024 * 1024 })
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+) (.*)$/.exec(line) ?? []
    if (pid === undefined) return []
    const environment = command.replaceAll(' ', '\n')
    return [{ pid: Number(pid), parent: Number(parent), command, environment, cwd: '' }]
  })
}

export const processes = async (): Promise<readonly Shown[]> => {
  const all = existsSync('/proc/self/stat')
    ? fromProc(readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    : await fromPs()
  return all.filter(
    ({ pid, command, environment, cwd }) => pid !== process.pid && `${command}${environment}${cwd}` !== '',
  )
}

/** Everything that was started with this folder in its arguments or environment, or works in it. */
export const processesOf = async (folder: string): Promise<readonly Shown[]> =>
  (await processes()).filter(
    ({ command, environment, cwd }) =>
      cwd === folder || cwd.startsWith(`${folder}/`) || command.includes(folder) || environment.includes(folder),
  )

const SESSION = /^STREAMSPACE_SESSION_ID=(.+)$/m

/** What runs of every session; not the shells that wait for it, which have another environment. */
export const processesBySession = async (): Promise<ReadonlyMap<string, readonly Shown[]>> =>
  Map.groupBy(await processes(), ({ environment }) => SESSION.exec(environment)?.[1] ?? '')

export const processesOfSession = async (sessionId: string): Promise<readonly Shown[]> =>
  (await processesBySession()).get(sessionId) ?? []

/** The one process of a session whose command starts no others. */
export const pidOfSession = (sessionId: string): Promise<number> =>
  eventually(async () => {
    const found = await processesOfSession(sessionId)
    if (found.length !== 1) throw new Error(`${found.length} processes of session ${sessionId}`)
    return found[0]!.pid
  })

/** What a postmaster has just begun has its command line, too, until it gives itself a name: it is left out. */
export const postmastersOf = async (folder: string): Promise<readonly number[]> => {
  const found = (await processesOf(folder)).filter(
    ({ command }) => /\/postgres\n-D\n/.test(command) || /\/postgres -D /.test(command),
  )
  const pids = found.map(({ pid }) => pid)
  return found.flatMap(({ pid, parent }) => (pids.includes(parent) ? [] : [pid]))
}

export const agentsOf = async (folder: string): Promise<readonly number[]> =>
  (await processesOf(folder))
    .filter(({ command }) => /cli\.ts[\n ]agent[\n ]process/.test(command))
    .map(({ pid }) => pid)

/** What templates become that wait for their end: they have done all that they do before. */
export const isAsleep = ({ command }: Shown): boolean => /^(\S*\/)?sleep\s/.test(command)

/** True while it exists and is no zombie. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Gone already is as good as signalled. */
export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {}
}

/** Ends whatever is left of a folder: the database in order where it still can, everything else at once. */
export const endProcessesOf = async (folder: string): Promise<void> => {
  const databases = await postmastersOf(folder)
  for (const pid of databases) signal(pid, 'SIGQUIT')
  await eventually(
    async () => {
      const left = (await processesOf(folder)).filter(({ pid }) => !databases.includes(pid))
      for (const { pid } of left) signal(pid, 'SIGKILL')
      if (left.length > 0 || databases.some(isAlive)) throw new Error(`${left.length} processes of ${folder} are left`)
    },
    { within: 4_000 },
  ).catch(async () => {
    for (const { pid } of await processesOf(folder)) signal(pid, 'SIGKILL')
  })
}
