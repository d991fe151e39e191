/**
 * Where a session's files are, and making and removing them. As root the folders above a home can be passed
 * through by everyone and listed by nobody; all else is the agent's alone.
 */
import { chmod, chown, lchown, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SessionId } from '../../domain/ids.ts'
import type { Host } from './host.ts'

export type SessionFiles = {
  readonly dir: string
  readonly record: string
  readonly output: string
  readonly earlierOutput: string
  readonly runs: string
  readonly home: string
  /** How the command is begun: read by the session's own user, written by the agent. */
  readonly launch: string
  /** Holds `home` and `launch`: `dir` itself, where the session's user can get there. */
  readonly place: string
}

export const filesOf = (host: Host, sessionId: SessionId): SessionFiles => {
  const dir = join(host.stateDir, 'sessions', sessionId)
  const place = host.outsideHomesDir === null ? dir : join(host.outsideHomesDir, sessionId)
  return {
    dir,
    record: join(dir, 'record.json'),
    output: join(dir, 'output.log'),
    earlierOutput: join(dir, 'output.1.log'),
    runs: join(dir, 'run'),
    home: join(place, 'home'),
    launch: join(place, 'launch.sh'),
    place,
  }
}

/** What holds everything else. */
export const makeFolders = async (host: Host, files: SessionFiles): Promise<void> => {
  const passable = host.isRoot ? 0o711 : 0o700
  for (const path of new Set([files.dir, files.place])) {
    await mkdir(path, { recursive: true, mode: passable })
    await chmod(path, passable)
  }
  await mkdir(files.runs, { recursive: true, mode: 0o700 })
}

/** Made when it is missing; the session's user owns it, and nobody else gets in. */
export const makeHome = async (files: SessionFiles, uid: number | null): Promise<void> => {
  await mkdir(files.home, { recursive: true, mode: 0o700 })
  if (uid !== null && (await lstat(files.home)).uid !== uid) await chown(files.home, uid, uid)
}

/** Everything in a home goes to another user. Links are not followed. */
export const giveHome = async (files: SessionFiles, uid: number): Promise<void> => {
  const give = async (path: string): Promise<void> => {
    await lchown(path, uid, uid)
    if (!(await lstat(path)).isDirectory()) return
    for (const name of await readdir(path)) await give(join(path, name))
  }
  await mkdir(files.home, { recursive: true, mode: 0o700 })
  await give(files.home)
}

/** Nothing of the session may run any more. The record goes last: until then whoever comes after a crash knows that something is left. */
export const removeAll = async (files: SessionFiles): Promise<void> => {
  await removeTree(files.home)
  await removeTree(files.runs)
  if (files.place !== files.dir) await removeTree(files.place)
  for (const name of await readdir(files.dir).catch(() => []))
    if (name !== 'record.json') await removeTree(join(files.dir, name))
  await rm(files.dir, { recursive: true, force: true })
}

/** Folders that their owner made unwritable have to be opened first (root need not). */
const removeTree = async (path: string): Promise<void> => {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    await openFolders(path)
    await rm(path, { recursive: true, force: true })
  }
}

const openFolders = async (path: string): Promise<void> => {
  await chmod(path, 0o700)
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await openFolders(join(path, entry.name))
}
