/**
 * Tells one process from a later one that got the same pid: the pid together with the moment it was started.
 * Linux says it in /proc (always there, also in images without `ps`), other systems through `ps`.
 */
import { execFile } from 'node:child_process'
import { readFile, readlink } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const linux = process.platform === 'linux'

/**
 * The start of a living process in the system's own words, to be compared for equality only; undefined when
 * there is no such process. A zombie is no process: it holds nothing any more.
 */
export const startOf = async (pid: number): Promise<string | undefined> => {
  if (!isThere(pid)) return undefined
  return linux ? startFromProc(pid) : askPs(pid, 'lstart=')
}

/** The program of a living process as it was called, for people and for recognising it. */
export const commandOf = async (pid: number): Promise<string | undefined> => {
  if (!linux) return askPs(pid, 'command=')
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  return text?.split('\0').join(' ').trim()
}

/** The folder that a process works in; undefined where the system or its owner does not say. */
export const workingDirectoryOf = async (pid: number): Promise<string | undefined> =>
  linux ? readlink(`/proc/${pid}/cwd`).catch(() => undefined) : undefined

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it is there and belongs to someone else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const startFromProc = async (pid: number): Promise<string | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // /proc may hide other people's processes: alive, and nothing else is known.
  if (stat === undefined) return isThere(pid) ? 'unknown' : undefined
  // The second field is the program's name in brackets and may hold spaces and brackets itself (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  const startTicks = fields[19]
  return state === 'Z' || state === 'X' ? undefined : startTicks
}

const askPs = async (pid: number, column: string): Promise<string | undefined> => {
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }
  const answer = await run('ps', ['-o', 'stat=', '-o', column, '-p', String(pid)], { env }).catch(() => undefined)
  const [, state = 'Z', text] = answer?.stdout.trim().match(/^(\S+)\s+(.*)$/s) ?? []
  return state.startsWith('Z') ? undefined : text
}
