/**
 * What this machine is and has: asked once, when the agent opens. Decides how the command of a session is
 * separated from its shim and from other sessions.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { access, chmod, copyFile, cp, link, mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Log } from '../runtime/log.ts'
import { hasProc, readHostEpoch } from './process-table.ts'
import { defaults, type ProcessSettings } from './settings.ts'
import { takeOwnership } from './take-ownership.ts'

const run = promisify(execFile)

/** Begins the arguments of a program that gives up the agent's rights for good and becomes another. */
export type DropPrivileges = (uid: number) => readonly string[]

export type Host = {
  readonly isRoot: boolean
  readonly stateDir: string
  readonly hostEpoch: string
  /** Absolute path of setsid(1), or null: the shim's job control makes the process group. */
  readonly setsid: string | null
  readonly dropPrivileges: DropPrivileges
  /** Before programs that the agent runs as a session's user, so that they cannot gain rights; may be empty. */
  readonly noNewPrivileges: readonly string[]
  readonly appsDir: string
  /** PATH of a session. */
  readonly path: string
  /** As root, where homes are instead of the state directory that no other user can reach; else null. */
  readonly outsideHomesDir: string | null
}

const systemPath = hasProc
  ? ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  : ['/usr/local/bin', '/opt/homebrew/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin']

/** What the shim itself runs with: nothing of a session's may reach a process that has the agent's rights. */
export const shimEnvironment: NodeJS.ProcessEnv = {
  PATH: systemPath.join(delimiter),
  // Node hands this one of its own variables to every child unless it is named: nothing of the agent's gets out.
  NODE_V8_COVERAGE: undefined,
}

export const surveyHost = async (settings: ProcessSettings, log: Log): Promise<Host> => {
  const isRoot = process.getuid?.() === 0
  const stateDir = await makeStateDir(settings.stateDir, isRoot)
  const setsid = await findProgram('setsid', ['true'])
  const outsideHomesDir = isRoot ? await homesOutside(settings, stateDir, log) : null
  const programs = isRoot ? await reachablePrograms(outsideHomesDir ?? stateDir, log) : ownPrograms()
  return {
    isRoot,
    stateDir,
    hostEpoch: await readHostEpoch(),
    setsid,
    ...(isRoot ? await waysToDrop(log) : { dropPrivileges: () => [], noNewPrivileges: [] }),
    appsDir: programs.appsDir,
    path: [dirname(programs.node), ...systemPath].join(delimiter),
    outsideHomesDir,
  }
}

/** Made first when missing. As root the session's users have to get through it. */
const makeStateDir = async (path: string, isRoot: boolean): Promise<string> => {
  await mkdir(join(path, 'sessions'), { recursive: true, mode: isRoot ? 0o711 : 0o700 })
  const stateDir = await realpath(path)
  if (isRoot) await takeOwnership(stateDir)
  const mode = isRoot ? 0o711 : 0o700
  await chmod(stateDir, mode)
  await chmod(join(stateDir, 'sessions'), mode)
  return stateDir
}

const findProgram = async (name: string, args: readonly string[]): Promise<string | null> => {
  for (const folder of systemPath) {
    const path = join(folder, name)
    if (await isDone(run(path, [...args], { env: shimEnvironment }))) return path
  }
  return null
}

// Not every machine lets root give up everything (containers without CAP_SETPCAP), nor has every setpriv every option.
const setprivOptions = [
  ['--no-new-privs', '--inh-caps=-all', '--bounding-set=-all'],
  ['--no-new-privs', '--inh-caps=-all'],
] as const

const asUser = (uid: number): readonly string[] => ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups']

const waysToDrop = async (log: Log): Promise<Pick<Host, 'dropPrivileges' | 'noNewPrivileges'>> => {
  for (const options of setprivOptions) {
    const setpriv = await findProgram('setpriv', [...asUser(65_534), ...options, '--', 'true'])
    if (setpriv !== null)
      return {
        dropPrivileges: (uid) => [setpriv, ...asUser(uid), ...options, '--'],
        noNewPrivileges: [setpriv, '--no-new-privs', '--'],
      }
  }
  log.warn({}, 'there is no setpriv here that can give up rights: programs with the setuid bit work inside sessions')
  const script = fileURLToPath(new URL('drop-privileges.ts', import.meta.url))
  return { dropPrivileges: (uid) => [process.execPath, script, `${uid}`], noNewPrivileges: [] }
}

type Programs = { readonly node: string; readonly appsDir: string }

const ownPrograms = (): Programs => ({
  node: process.execPath,
  appsDir: fileURLToPath(new URL('apps', import.meta.url)),
})

/** A user's home may be closed to others, and this program may lie in it: then sessions get copies. */
const reachablePrograms = async (base: string, log: Log): Promise<Programs> => {
  const own = ownPrograms()
  const nodeIsReachable = await isReachableByOthers(own.node, constants.S_IXOTH)
  const appsAreReachable = await isReachableByOthers(own.appsDir, constants.S_IXOTH | constants.S_IROTH)
  if (nodeIsReachable && appsAreReachable) return own
  const folder = join(base, 'programs')
  await mkdir(folder, { recursive: true, mode: 0o711 })
  await chmod(folder, 0o711)
  const programs = {
    node: nodeIsReachable ? own.node : await copyOfNode(own.node, folder),
    appsDir: appsAreReachable ? own.appsDir : await copyOfApps(own.appsDir, folder),
  }
  log.info({ ...programs }, 'sessions cannot reach the programs of this installation and use copies of them')
  return programs
}

const copyOfNode = async (node: string, folder: string): Promise<string> => {
  const original = await stat(node)
  const { size, mtimeMs } = original
  const target = join(folder, `node-${process.version}-${size}-${Math.trunc(mtimeMs)}`, 'node')
  if (await exists(target)) return target
  await mkdir(dirname(target), { recursive: true, mode: 0o755 })
  await chmod(dirname(target), 0o755)
  const beside = `${target}.new`
  await rm(beside, { force: true })
  // A link costs nothing, but has the rights of the original, which are not ours to change.
  const linked = hasRight(original, constants.S_IXOTH | constants.S_IROTH) && (await isDone(link(node, beside)))
  if (!linked) {
    await copyFile(node, beside, constants.COPYFILE_FICLONE)
    await chmod(beside, 0o755)
  }
  await rename(beside, target)
  return target
}

const copyOfApps = async (apps: string, folder: string): Promise<string> => {
  const target = join(folder, 'apps')
  await cp(apps, target, { recursive: true, force: true })
  await openToAll(target)
  return target
}

const openToAll = async (folder: string): Promise<void> => {
  await run('chmod', ['-R', 'u=rwX,go=rX', folder], { env: shimEnvironment })
}

const isDone = (attempt: Promise<unknown>): Promise<boolean> =>
  attempt.then(
    () => true,
    () => false,
  )

const exists = (path: string): Promise<boolean> => isDone(access(path))

const homesOutside = async (settings: ProcessSettings, stateDir: string, log: Log): Promise<string | null> => {
  const closed = await closedToOthers(stateDir)
  if (closed === null) return null
  const name = createHash('sha256').update(stateDir).digest('hex').slice(0, 16)
  const outside = join(settings.outsideHomesDir ?? defaults.outsideHomesDir, name)
  await mkdir(outside, { recursive: true, mode: 0o711 })
  await chmod(outside, 0o711)
  const alsoClosed = await closedToOthers(outside)
  if (alsoClosed !== null)
    throw new Error(
      `sessions run as users of their own here, and those cannot get to their homes: ${closed} and ${alsoClosed} ` +
        'are closed to other users. Choose another STREAMSPACE_DATA_DIR, or chmod o+x them.',
    )
  log.warn(
    { closed, homes: outside },
    `other users cannot pass through ${closed}, so the sessions' homes are in ${outside}; ` +
      'choose a STREAMSPACE_DATA_DIR that can be reached to have everything in one place',
  )
  return outside
}

/** The first folder on the way to `path`, itself included, that other users cannot pass; null when there is none. */
const closedToOthers = async (path: string): Promise<string | null> => {
  const steps = resolve(path).split('/')
  for (let end = 1; end <= steps.length; end += 1) {
    const folder = steps.slice(0, end).join('/') || '/'
    if (!hasRight(await stat(folder), constants.S_IXOTH)) return folder
  }
  return null
}

const isReachableByOthers = async (path: string, right: number): Promise<boolean> => {
  const real = await realpath(path)
  return (await closedToOthers(dirname(real))) === null && hasRight(await stat(real), right)
}

const hasRight = ({ mode }: Stats, right: number): boolean => (mode & right) === right
