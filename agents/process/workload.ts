/** One life of a session's command: begun by this agent, or found alive from an earlier one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Exit, exitOf } from '../runtime/exit.ts'
import type { Host } from './host.ts'
import { shimEnvironment } from './host.ts'
import { openOutput } from './output-log.ts'
import { type Identity, isAlive, type ProcessRow, readProcess, sameProcess } from './process-table.ts'
import type { SessionFiles } from './session-files.ts'
import type { Run, SessionRecord } from './session-record.ts'
import { forestall, prepareRunDir, readCommand, readExitStatus, readShim, SHIM_NAME } from './shim.ts'
import { writeWhole } from './write-file.ts'

export type Workload = {
  readonly run: Run
  readonly shim: () => Identity | null
  readonly command: () => Identity | null
  /** Processes that were found to belong to this life. */
  readonly seen: Set<string>
  /** Resolves when the command has ended. */
  readonly ended: Promise<Exit>
  readonly hasEnded: () => boolean
  /** Looks whether it still lives, given the processes that do (or asking for each). */
  readonly check: (rows?: readonly ProcessRow[]) => Promise<void>
  /** Afterwards no command can begin that nobody knows of. It looks whether it still lives, as well. */
  readonly settleBeginning: (signal?: AbortSignal) => Promise<Beginning>
}

export type Beginning =
  /** The command is known, or has ended. */
  | 'known'
  /** It has not begun, and never will; its shim ends by itself. */
  | 'never'
  /** Nobody could say in time: the disk is full, the shim is held up, or somebody cannot wait. */
  | 'open'

/** From the shim's word that the command begins until it is one: a moment, but of a machine that may be busy. */
const BEGINS_WITHIN_MS = 10_000
const BEGINNING_LOOK_MS = 10

export const runDirOf = (files: SessionFiles, run: Pick<Run, 'instance'>): string => join(files.runs, run.instance)

const watching = (runDir: string, run: Run, known: { shim: Identity | null; command: Identity | null }): Workload => {
  const { promise: ended, resolve } = Promise.withResolvers<Exit>()
  let over = false
  let { shim, command } = known

  const lives = async (identity: Identity | null, rows?: readonly ProcessRow[]): Promise<boolean> => {
    if (identity === null) return false
    return rows === undefined ? isAlive(identity) : rows.some((row) => sameProcess(row, identity))
  }
  const finish = (exit: Exit): void => {
    over = true
    resolve(exit)
  }
  /** What the shim wrote, if it did. */
  const readExit = async (): Promise<boolean> => {
    const status = await readExitStatus(runDir)
    if (status !== null) finish(exitOf(status))
    return status !== null
  }

  const check = async (rows?: readonly ProcessRow[]): Promise<void> => {
    if (over) return
    shim ??= await readShim(runDir)
    command ??= await readCommand(runDir)
    if (await lives(command, rows)) return
    if (await readExit()) return
    // The shim may be about to write. Asked afresh: `rows` may be older than the shim.
    if ((await lives(shim)) || (await lives(command))) return
    if (!(await readExit())) finish({ kind: 'unknown' })
  }

  const settleBeginning = async (signal?: AbortSignal): Promise<Beginning> => {
    await check()
    if (over || command !== null) return 'known'
    // Where nothing can be written, the shim is not to be stopped so: then it is waited for as if it had begun.
    if ((await forestall(runDir).catch(() => 'begun')) === 'forestalled') return 'never'
    for (const until = Date.now() + BEGINS_WITHIN_MS; ; await wait(BEGINNING_LOOK_MS)) {
      await check()
      if (over || command !== null) return 'known'
      if (signal?.aborted || Date.now() >= until) return 'open'
    }
  }

  return {
    run,
    shim: () => shim,
    command: () => command,
    seen: new Set(),
    ended,
    hasEnded: () => over,
    check,
    settleBeginning,
  }
}

/** What became of a run of which a record tells: it lives, it ended, or it never began. */
export const adopt = async (
  host: Host,
  files: SessionFiles,
  run: Run,
): Promise<{ kind: 'alive'; workload: Workload } | { kind: 'ended'; exit: Exit } | { kind: 'not_begun' }> => {
  const runDir = runDirOf(files, run)
  const status = await readExitStatus(runDir)
  if (status !== null) return { kind: 'ended', exit: exitOf(status) }
  if (run.hostEpoch !== host.hostEpoch) return { kind: 'ended', exit: { kind: 'host_restarted' } }
  // Its folder may have been removed while nobody looked: what lives has begun.
  const lives = run.command !== null && (await isAlive(run.command))
  if (!lives && (await forestall(runDir)) === 'forestalled') return { kind: 'not_begun' }
  const command = (await readCommand(runDir)) ?? (lives ? run.command : null)
  const workload = watching(runDir, run, { shim: await readShim(runDir), command })
  await workload.check()
  return workload.hasEnded() ? { kind: 'ended', exit: await workload.ended } : { kind: 'alive', workload }
}

/** Folders of earlier runs, and the one to come. After this the record may name it. */
export const prepareRun = async (files: SessionFiles, instance: string): Promise<void> => {
  for (const name of await readdir(files.runs)) await rm(join(files.runs, name), { recursive: true, force: true })
  await prepareRunDir(runDirOf(files, { instance }))
}

const launcher = (host: Host, files: SessionFiles, uid: number | null): readonly string[] => [
  ...(uid === null ? [] : host.dropPrivileges(uid)),
  '/bin/sh',
  files.launch,
]

/** Starts the shim, which starts the command. Throws when not even a shell can be started. */
export const begin = async (
  host: Host,
  files: SessionFiles,
  record: SessionRecord & { readonly run: Run },
  script: string,
): Promise<Workload> => {
  const { run, uid, sessionId } = record
  const runDir = runDirOf(files, run)
  await writeLaunch(files, script, uid)
  const output = await openOutput(files, uid)
  try {
    const child = spawn(
      '/bin/sh',
      ['shim.sh', SHIM_NAME, sessionId, host.setsid ?? '', ...launcher(host, files, uid)],
      { cwd: runDir, env: shimEnvironment, detached: true, stdio: ['ignore', output.fd, output.fd] },
    )
    child.unref()
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    // Gone already: then it has written how the command ended.
    const shim = await readProcess(child.pid)
    const workload = watching(runDir, run, { shim, command: null })
    child.once('exit', () => void workload.check())
    if (child.exitCode !== null || child.signalCode !== null) await workload.check()
    return workload
  } finally {
    await output.close()
  }
}

/** The session's user may read it and nothing else. */
const writeLaunch = async (files: SessionFiles, script: string, uid: number | null): Promise<void> => {
  await writeWhole(files.launch, script, 0o600)
  if (uid === null) return
  await chown(files.launch, 0, uid)
  await chmod(files.launch, 0o640)
}
