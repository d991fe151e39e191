/**
 * What a killed run left behind: a postmaster that still runs, or a postmaster.pid that names a process of
 * quite another kind. The caller holds the lock of the directory, so a postmaster found here is nobody's.
 */
import { readFile, realpath, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { dataOf } from './cluster.ts'
import { commandOf, startOf, workingDirectoryOf } from './process-identity.ts'

/** How long each way of stopping may take: fast (SIGINT) ends sessions in order, immediate (SIGQUIT) does not. */
const patienceMs = { SIGINT: 10_000, SIGQUIT: 5_000, SIGKILL: 5_000 } as const

export const stopLeftOver = async (directory: string, onLog: (line: string) => void): Promise<void> => {
  const data = dataOf(directory)
  const pid = await pidIn(data)
  if (pid === undefined) return
  if (await isPostmasterOf(pid, data)) {
    onLog(`stopping the PostgreSQL that an earlier run left behind (pid ${pid})`)
    await endPostmaster(pid)
  }
  await forget(data)
}

const endPostmaster = async (pid: number): Promise<void> => {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    signalIfThere(pid, signal)
    if (await isGoneWithin(pid, patienceMs[signal])) return
  }
  throw new Error(
    `PostgreSQL (pid ${pid}) is left over from an earlier run and does not stop. Stop it by hand, then start again.`,
  )
}

const pidFile = (data: string): string => join(data, 'postmaster.pid')

const pidIn = async (data: string): Promise<number | undefined> => {
  const text = await readFile(pidFile(data), 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  return Number.isInteger(pid) && pid > 1 ? pid : undefined
}

/** A postmaster works in its data directory, whatever that was called when it was started. */
const isPostmasterOf = async (pid: number, data: string): Promise<boolean> => {
  const command = (await commandOf(pid)) ?? ''
  const program = basename(command.split(' ')[0] ?? '')
  const workingDirectory = await workingDirectoryOf(pid)
  if (workingDirectory !== undefined) return program === 'postgres' && workingDirectory === (await realpath(data))
  return command.includes('postgres') && command.includes(`-D ${data} `)
}

/**
 * The pid may belong to a stranger by now, or to a zombie that nobody buries (a container whose first process
 * does not), and PostgreSQL would refuse to start because of either. The file must stay, as its other lines
 * protect against backends of the old server that still run; so it gets the one living pid that PostgreSQL
 * takes for no server: that of its own parent, us (CreateLockFile in its miscinit.c).
 */
const forget = async (data: string): Promise<void> => {
  const text = await readFile(pidFile(data), 'utf8').catch(() => undefined)
  if (text !== undefined) await writeFile(pidFile(data), text.replace(/^\d+/, String(process.pid)))
}

const signalIfThere = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const isGoneWithin = async (pid: number, patience: number): Promise<boolean> => {
  for (const deadline = Date.now() + patience; Date.now() < deadline; await wait(20)) {
    if ((await startOf(pid)) === undefined) return true
  }
  return false
}
