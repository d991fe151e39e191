/**
 * A real Docker engine: the one of `DOCKER_HOST`, or Debian's `dockerd` on a socket and a data root of its own. No registry
 * can be reached from here, so images are made with `docker import` from Debian's busybox-static. Where there is neither,
 * a person's run leaves those tests out and says so in one line; a run with CI set fails.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import type { Readable } from 'node:stream'
import Docker from 'dockerode'
import { addressOf } from '../../agents/docker/engine.ts'
import { atEndOfRun } from './end-of-run.ts'
import { engineFolder, engineFolders } from './engine-folder.ts'
import { eventually } from './eventually.ts'

/** Has a shell, and `httpd`. */
export const BUSYBOX = 'docker.io/library/busybox:1.36'

export type DockerEngine = {
  /** For `DOCKER_HOST`. */
  readonly host: string
  readonly docker: Docker
}

/** One that a test may stop and start. */
export type OwnEngine = DockerEngine & {
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
  readonly start: () => Promise<void>
  /** Where it keeps everything. */
  readonly dataRoot: string
  /** It takes connections and never answers, until `goOn`. */
  readonly hang: () => void
  readonly goOn: () => void
  /** Ends it together with everything that runs in it, at once, as a loss of power does. */
  readonly losePower: () => Promise<void>
  /** With all that is in it. */
  readonly remove: () => Promise<void>
}

const CONTAINERD_PID = 'exec/containerd/containerd.pid'
const PREFIX = 'streamspace-test-docker-'

export const find = (name: string): string | null => {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin', '/bin']
  for (const folder of folders) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Looked for in the next one.
    }
  }
  return null
}

/** Why there is no engine here; null: there is one, or can be. */
export const whyNoDocker = (): string | null => {
  if (find('busybox') === null) return 'there is no busybox to make images of: apt-get install -y busybox-static'
  if (process.env.DOCKER_HOST) return null
  if (find('dockerd') === null) return 'there is no Docker engine: set DOCKER_HOST, or apt-get install -y docker.io'
  return process.getuid?.() === 0 ? null : 'dockerd needs root: set DOCKER_HOST'
}

/**
 * Addresses for the networks of this run's agents that nobody on this machine has: two engines know nothing of each
 * other's bridges, and one of them would answer for both.
 */
export const freePool = (): { readonly address: number; readonly prefix: number } => {
  // Destinations are hexadecimal, the first byte last.
  const routes = readFileSync('/proc/net/route', 'utf8')
    .split('\n')
    .flatMap((line) => line.split('\t')[1] ?? [])
  for (let at = 0; at < 128; at += 1) {
    const second = 64 + ((process.pid + at) % 128)
    const mark = `${second.toString(16).padStart(2, '0')}0A`.toUpperCase()
    if (!routes.some((route) => route.endsWith(mark))) return { address: (10 * 256 + second) * 65_536, prefix: 16 }
  }
  throw new Error('every network from 10.64.0.0 to 10.191.0.0 is in use on this machine')
}

let said = false

/** For `before(needsDocker)`. */
export function needsDocker(this: Mocha.Context): void {
  const why = whyNoDocker()
  if (why === null) return
  if (process.env.CI) throw new Error(why)
  if (!said) console.error(`Tests with Docker are skipped: ${why}`)
  said = true
  this.skip()
}

/** For tests that stop the engine, which nobody else's may be. */
export function needsOwnDocker(this: Mocha.Context): void {
  needsDocker.call(this)
  if (find('dockerd') === null || process.getuid?.() !== 0) this.skip()
}

let shared: Promise<DockerEngine> | undefined

/** One for the whole run. */
export const dockerEngine = (): Promise<DockerEngine> => {
  shared ??= given() ?? ownEngine()
  return shared
}

const given = (): Promise<DockerEngine> | null => {
  const host = process.env.DOCKER_HOST
  if (!host) return null
  const engine = { host, docker: new Docker(addressOf(host)) }
  return makeImages(engine).then(() => engine)
}

/** `diskMib`: of a disk of its own, which a test can fill. */
export const ownEngine = async (
  more: readonly string[] = [],
  { diskMib }: { readonly diskMib?: number } = {},
): Promise<OwnEngine> => {
  await removeLeftOvers()
  const folder = await mkdtemp(join(engineFolder(), `${PREFIX}${process.pid}-`))
  const host = `unix://${join(folder, 'sock')}`
  const dataRoot = join(folder, 'data')
  if (diskMib !== undefined) {
    await mkdir(dataRoot)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMib}m`, 'tmpfs', dataRoot])
  }
  const docker = new Docker(addressOf(host))
  let child: ChildProcess | null = null

  const start = async (): Promise<void> => {
    // Left by one that was killed; a pid that is somebody else's by now would be waited for.
    await endContainerd(folder)
    for (const file of ['pid', CONTAINERD_PID]) await rm(join(folder, file), { force: true })
    const log = await open(join(folder, 'log'), 'a')
    child = spawn(find('dockerd') ?? 'dockerd', [...argumentsIn(folder, host), ...more], {
      stdio: ['ignore', log.fd, log.fd],
    })
    child.on('error', () => {})
    await log.close()
    const running = child
    const answers = async (): Promise<void> => {
      if (running.exitCode !== null) throw new Error('dockerd has ended')
      await docker.ping()
    }
    await eventually(answers, { within: 30_000 }).catch((error: Error) => {
      throw new Error(
        `dockerd did not start: ${error.message}\n${readFileSync(join(folder, 'log'), 'utf8').slice(-2_000)}`,
      )
    })
  }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  const hang = (): void => void child?.kill('SIGSTOP')
  const goOn = (): void => void child?.kill('SIGCONT')
  const losePower = async (): Promise<void> => {
    const running = await docker.listContainers()
    const inspected = await Promise.all(running.map(({ Id }) => docker.getContainer(Id).inspect()))
    // Or it would write down how the others ended.
    hang()
    for (const pid of processesOf(folder)) process.kill(pid, 'SIGKILL')
    for (const { State } of inspected) if (isAlive(State.Pid)) process.kill(State.Pid, 'SIGKILL')
    await stop('SIGKILL')
  }
  const remove = async (): Promise<void> => {
    goOn()
    // Or they would be given their time to end.
    for (const { Id } of await docker.listContainers({ all: true }).catch(() => []))
      await docker
        .getContainer(Id)
        .remove({ force: true })
        .catch(() => {})
    for (const { Name, Id } of await docker.listNetworks().catch(() => []))
      if (!['bridge', 'host', 'none'].includes(Name))
        await docker
          .getNetwork(Id)
          .remove()
          .catch(() => {})
    await stop()
    if (more.includes('--userland-proxy=false')) forgetLoopbackRule()
    await endContainerd(folder)
    await removeFolder(folder)
  }
  atEndOfRun(remove)
  const engine = { host, docker, dataRoot, start, stop, hang, goOn, losePower, remove }
  try {
    await start()
    await makeImages(engine)
  } catch (error) {
    await remove()
    throw error
  }
  return engine
}

const argumentsIn = (folder: string, host: string): readonly string[] => [
  ...['--host', host],
  ...['--data-root', join(folder, 'data')],
  ...['--exec-root', join(folder, 'exec')],
  ...['--pidfile', join(folder, 'pid')],
  // Its own would be the one of an engine that this machine may have already.
  ...['--bridge', 'none'],
  ...['--shutdown-timeout', '2'],
]

/**
 * An engine without its proxy has what goes to a loopback address redirected by its rules, and leaves that so when it ends:
 * ports that another engine of this machine publishes there would no longer be reached.
 */
const forgetLoopbackRule = (): void => {
  const rule = ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'DOCKER']
  try {
    execFileSync('iptables', ['-t', 'nat', '-D', 'OUTPUT', ...rule], { stdio: 'ignore' })
  } catch {
    // It is not there.
  }
}

/** A run that was killed leaves its engine running. */
const removeLeftOvers = async (): Promise<void> => {
  const there = engineFolders.map(async (parent) =>
    (await readdir(parent).catch(() => [])).map((name) => join(parent, name)),
  )
  for (const folder of (await Promise.all(there)).flat()) {
    if (!basename(folder).startsWith(PREFIX)) continue
    if (isAlive(Number(basename(folder).slice(PREFIX.length).split('-')[0]))) continue
    await endProcess(folder, join(folder, 'pid'), 'SIGTERM')
    await endContainerd(folder)
    await removeFolder(folder)
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Of an engine that was killed, or that another of its life had started. */
const endContainerd = (folder: string): Promise<void> => endProcess(folder, join(folder, CONTAINERD_PID), 'SIGTERM')

/** containerd and the shims of an engine: its folder is in their arguments. */
const processesOf = (folder: string): readonly number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return line.includes('containerd') && line.includes(`${folder}/exec/`) && !line.includes('dockerd\0')
      } catch {
        return false
      }
    })
    .map(Number)

/** Only what bears the folder in its arguments: the number may be somebody else's by now. */
const endProcess = async (folder: string, pidFile: string, signal: NodeJS.Signals): Promise<void> => {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => '0'))
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  if (pid <= 1 || !line.includes(`${folder}/`)) return
  try {
    process.kill(pid, signal)
  } catch {
    return
  }
  await eventually(() => {
    // Of a process that has ended and that nobody has asked about the arguments are empty.
    if (isAlive(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '')
      throw new Error(`process ${pid} of ${folder} does not end`)
  })
}

const removeFolder = async (folder: string): Promise<void> => {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').flatMap((line) => line.split(' ')[1] ?? [])
  for (const path of mounts.filter((one) => one.startsWith(`${folder}/`)).reverse())
    execFileSync('umount', ['-l', path], { stdio: 'ignore' })
  await rm(folder, { recursive: true, force: true })
}

const makeImages = async ({ docker }: DockerEngine): Promise<void> => {
  const there = await docker
    .getImage(BUSYBOX)
    .inspect()
    .then(
      () => true,
      () => false,
    )
  if (there) return
  const rootfs = await mkdtemp(join(tmpdir(), 'busybox-rootfs-'))
  try {
    await busyboxFiles(rootfs)
    await importImage(docker, rootfs, BUSYBOX)
  } finally {
    await rm(rootfs, { recursive: true, force: true })
  }
}

/** A root file system with a shell and its tools in a folder that is empty. */
export const busyboxFiles = async (rootfs: string): Promise<void> => {
  for (const folder of ['bin', 'etc', 'tmp', 'home']) await mkdir(join(rootfs, folder))
  const busybox = find('busybox') ?? 'busybox'
  await copyFile(busybox, join(rootfs, 'bin/busybox'))
  for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n'))
    if (applet !== '' && applet !== 'busybox') await symlink('busybox', join(rootfs, 'bin', applet))
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n')
}

/** What `docker import` does with the files of a folder; `changes` are instructions of a Dockerfile. */
export const importImage = async (
  docker: Docker,
  rootfs: string,
  image: string,
  changes: readonly string[] = [],
): Promise<void> => {
  const tar = spawn('tar', ['-c', '-C', rootfs, '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [repo, tag] = [image.slice(0, image.lastIndexOf(':')), image.slice(image.lastIndexOf(':') + 1)]
  const answer = (await docker.importImage(tar.stdout, { fromSrc: '-', repo, tag, changes })) as unknown as Readable
  let words = ''
  for await (const chunk of answer) words += String(chunk)
  if (words.includes('"error"')) throw new Error(`${image} could not be imported: ${words}`)
}
