/**
 * The processes of this machine: Linux says it in /proc, other systems through `ps`. A pid alone says little,
 * as it is given out again; a pid together with the moment of its start is one process for good.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { promisify } from 'node:util'

const run = promisify(execFile)
export const hasProc = process.platform === 'linux'

/** `start` is in the system's own words, to be compared for equality only. */
export type Identity = { readonly pid: number; readonly start: string }

export type ProcessRow = Identity & {
  readonly parent: number
  readonly group: number
  /** 0 where the system does not say. */
  readonly session: number
  /** Resident memory; what is shared between processes is counted in each. */
  readonly rssBytes: number
  /** The real uid where listing it costs nothing; null: ask `realUidOf`. */
  readonly uid: number | null
}

export const sameProcess = (a: Identity, b: Identity): boolean => a.pid === b.pid && a.start === b.start
export const keyOf = ({ pid, start }: Identity): string => `${pid}:${start}`

/** Every living process; a zombie is none. */
export const readProcessTable = (): Promise<readonly ProcessRow[]> =>
  hasProc ? Promise.resolve(tableFromProc()) : tableFromPs()

/** One process as it is now, or null when it is gone. */
export const readProcess = async (pid: number): Promise<ProcessRow | null> =>
  hasProc ? rowFromProc(pid) : ((await tableFromPs(pid))[0] ?? null)

export const isAlive = async (identity: Identity): Promise<boolean> => {
  const row = await readProcess(identity.pid)
  return row !== null && sameProcess(row, identity)
}

let pageBytes = 4096

/** Children of kthreadd never become anything else: half of all the processes need no second look. */
let kernelThreads = new Set<number>()
let kernelThreadsAge = 0
const FORGET_KERNEL_THREADS_AFTER = 120

const tableFromProc = (): readonly ProcessRow[] => {
  if (kernelThreadsAge++ % FORGET_KERNEL_THREADS_AFTER === 0) kernelThreads = new Set()
  const rows: ProcessRow[] = []
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || kernelThreads.has(pid)) continue
    const row = rowFromProc(pid)
    if (row === null) continue
    if (row.parent === 2 && row.group === 0) kernelThreads.add(pid)
    else rows.push(row)
  }
  return rows
}

const rowFromProc = (pid: number): ProcessRow | null => {
  const stat = readText(`/proc/${pid}/stat`)
  return stat === null ? null : rowOfStat(stat)
}

/** proc(5). The second field is the program's name in brackets and may hold spaces and brackets itself. */
export const rowOfStat = (stat: string): ProcessRow | null => {
  const close = stat.lastIndexOf(')')
  const fields = stat.slice(close + 2).split(' ')
  const state = fields[0]
  if (close < 0 || fields.length < 22 || state === 'Z' || state === 'X') return null
  return {
    pid: Number.parseInt(stat, 10),
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    start: fields[19] ?? '',
    rssBytes: Number(fields[21]) * pageBytes,
    uid: null,
  }
}

const PS_COLUMNS = ['pid', 'ppid', 'pgid', 'uid', 'rss', 'stat', 'lstart'].flatMap((name) => ['-o', `${name}=`])
/** So that the moment of a start is spelt the same by whoever asks. */
const psEnvironment = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' }

const tableFromPs = async (pid?: number): Promise<readonly ProcessRow[]> => {
  const which = pid === undefined ? ['-ax'] : ['-p', String(pid)]
  const answer = await run('ps', [...which, ...PS_COLUMNS], {
    env: psEnvironment,
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }))
  return answer.stdout.split('\n').flatMap((line) => rowOfPs(line) ?? [])
}

export const rowOfPs = (line: string): ProcessRow | null => {
  const found = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line)
  if (found === null || found[6]?.startsWith('Z')) return null
  const [, pid, parent, group, uid, rssKib, , start = ''] = found
  return {
    pid: Number(pid),
    parent: Number(parent),
    group: Number(group),
    session: 0,
    start: start.replaceAll(/\s+/g, ' '),
    rssBytes: Number(rssKib) * 1024,
    uid: Number(uid),
  }
}

/** The real uid: the owner of /proc/<pid> is root for programs that must not be looked into. */
export const realUidOf = (row: ProcessRow): number | null => {
  if (row.uid !== null) return row.uid
  const found = /^Uid:\s+(\d+)/m.exec(readText(`/proc/${row.pid}/status`) ?? '')
  return found === null ? null : Number(found[1])
}

/** The environment that a process was started with, where the system tells it to its owner; else null. */
export const environmentOf = (pid: number): readonly string[] | null =>
  hasProc ? (readText(`/proc/${pid}/environ`)?.split('\0') ?? null) : null

/** The arguments of a process, as one line for each where the system keeps them apart. */
export const argumentsOf = async (pid: number): Promise<string> =>
  hasProc
    ? (readText(`/proc/${pid}/cmdline`) ?? '')
    : (
        await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { env: psEnvironment }).catch(() => ({
          stdout: '',
        }))
      ).stdout

/** Memory that is this process's alone, shared pages divided by those who share them; null where nobody says. */
export const proportionalBytesOf = (pid: number): number | null => {
  const found = /^Pss:\s+(\d+) kB/m.exec((hasProc ? readText(`/proc/${pid}/smaps_rollup`) : null) ?? '')
  return found === null ? null : Number(found[1]) * 1024
}

/**
 * Changes when every process of before is gone: with a boot of the machine, and with a container that was
 * started anew on a machine that was not.
 */
export const readHostEpoch = async (): Promise<string> => {
  if (hasProc) {
    await learnPageSize()
    const boot = readText('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown'
    return `${boot}/${readLinkText('/proc/self/ns/pid')}/${rowFromProc(1)?.start ?? 'unknown'}`
  }
  const answer = await run('sysctl', ['-n', 'kern.boottime'], { env: psEnvironment }).catch(() => ({ stdout: '' }))
  return /sec = (\d+)/.exec(answer.stdout)?.[1] ?? 'unknown'
}

const learnPageSize = async (): Promise<void> => {
  const answer = await run('getconf', ['PAGESIZE']).catch(() => ({ stdout: '' }))
  pageBytes = Number(answer.stdout) || pageBytes
}

const readText = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

const readLinkText = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return 'unknown'
  }
}
