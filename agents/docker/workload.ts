/** The container that a session is: how it is made, and how it ends. */
import { setTimeout as wait } from 'node:timers/promises'
import type Docker from 'dockerode'
import { containerEnvironment } from '../container/environment.ts'
import type { ContainerSpec } from '../container/spec.ts'
import { type Inspected, isMissing, isStatus } from './engine.ts'
import { isAnothers, label, workloadLabels, workloadName } from './names.ts'
import { type Session, type Surroundings, stopGraceMs, type Workload } from './session.ts'

/** Two files a session: what programs write must not fill the disk. */
const LOGS = { Type: 'json-file', Config: { 'max-size': '4m', 'max-file': '2' } }

const LEAST_CPU_MILLIS = 10

export const workloadOptions = (
  around: Surroundings,
  session: Session,
  spec: ContainerSpec,
  { network, imageDigest }: { readonly network: string; readonly imageDigest: string },
): Docker.ContainerCreateOptions => {
  const { anchor } = session
  if (anchor === null) throw new Error('a session without an anchor cannot be started')
  const { settings, ownership } = around
  const { desired } = anchor
  const { cpuMillis, memoryMib } = desired.spec.resources
  const environment = containerEnvironment(session.id, desired, spec, anchor.accessToken)
  const inside = spec.ports.map(({ port }) => `${port}/tcp`)
  return {
    Image: spec.image,
    // One list of the template replaces the image's entry point, the other its arguments, as in Kubernetes.
    ...(spec.command === null ? {} : { Entrypoint: [...spec.command] }),
    ...(spec.args === null ? (spec.command === null ? {} : { Cmd: [] }) : { Cmd: [...spec.args] }),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ...(spec.user === null ? {} : { User: `${spec.user}:${spec.user}` }),
    WorkingDir: spec.home.path,
    Hostname: session.id.slice(0, 13),
    Labels: workloadLabels(settings.agentId, anchor, imageDigest) as Record<string, string>,
    ExposedPorts: Object.fromEntries(inside.map((port) => [port, {}])),
    HostConfig: {
      NetworkMode: network,
      // Refused when the agent is no longer the owner, or the session's anchor is gone; the anchor brings the home along.
      VolumesFrom: [ownership.volumesFrom(), anchor.id],
      Mounts: spec.mounts.map(({ hostPath, path, readOnly }) => ({
        Type: 'bind' as const,
        Source: hostPath,
        Target: path,
        ReadOnly: readOnly,
      })),
      PortBindings: Object.fromEntries(
        inside.map((port) => [port, [{ HostIp: settings.publishAddress, HostPort: '' }]]),
      ),
      RestartPolicy: { Name: 'no' },
      // The engine refuses more than it has, and less than a hundredth of a core.
      NanoCpus: Math.max(LEAST_CPU_MILLIS, Math.min(cpuMillis, around.cores() * 1_000)) * 1_000_000,
      Memory: memoryMib * 1024 * 1024,
      // As much with swap as without: no swap.
      MemorySwap: memoryMib * 1024 * 1024,
      PidsLimit: settings.pidsLimit,
      CapDrop: ['ALL'],
      CapAdd: [...spec.capabilities],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: spec.readOnlyRootFilesystem,
      ...(spec.readOnlyRootFilesystem ? { Tmpfs: { '/tmp': 'rw,noexec,nosuid,size=64m' } } : {}),
      Init: true,
      LogConfig: LOGS,
    },
  }
}

export const createWorkload = async (
  around: Surroundings,
  session: Session,
  options: Docker.ContainerCreateOptions,
): Promise<Workload> => {
  const { anchor } = session
  if (anchor === null) throw new Error('a session without an anchor cannot be started')
  const name = workloadName(around.ownership.token(), session.id, anchor.generation)
  const made = {
    name,
    generation: anchor.generation,
    incarnation: anchor.desired.incarnation,
    running: false,
    imageDigest: options.Labels?.[label.imageDigest] ?? null,
  }
  try {
    return { ...made, id: await around.engine.create(name, options) }
  } catch (error) {
    if (!isStatus(error, 409) || !/already in use/.test((error as Error).message)) throw error
    // Made by an attempt whose answer was lost.
    const { id, running } = await around.engine.inspect(name)
    return { ...made, id, running }
  }
}

export type Ended = 'gone' | 'interrupted'

const LONGEST_LOOK_MS = 200

/** SIGTERM, then SIGKILL when the time is over. Each is one moment: an engine's own stop would go on after a takeover. */
export const endWorkload = async (
  around: Surroundings,
  session: Session,
  { signal, graceMs }: { readonly signal?: AbortSignal; readonly graceMs?: number } = {},
): Promise<Ended> => {
  const { workload, anchor } = session
  if (workload === null) return 'gone'
  const grace = graceMs ?? (anchor === null ? 10_000 : stopGraceMs(anchor.desired))
  do {
    if ((await askToEnd(around, workload.name, grace, signal)) === 'interrupted') return 'interrupted'
  } while (!(await removed(around, workload.name)) && (await nameAgain(around, session)))
  session.workload = null
  session.published = new Map()
  await around.step('workload_removed')
  return 'gone'
}

const askToEnd = async (
  around: Surroundings,
  name: string,
  grace: number,
  signal: AbortSignal | undefined,
): Promise<'ended' | 'interrupted'> => {
  if (!(await send(around, name, grace > 0 ? 'SIGTERM' : 'SIGKILL'))) return 'ended'
  await around.step('asked_to_end')
  const until = Date.now() + grace
  for (let pause = 10; ; pause = Math.min(pause * 2, LONGEST_LOOK_MS)) {
    if (!(await isRunning(around, name))) return 'ended'
    if (signal?.aborted) return 'interrupted'
    if (Date.now() >= until && (await send(around, name, 'SIGKILL'))) await around.step('killed')
    await wait(pause)
  }
}

/** False: there is nothing of that name. */
const removed = async (around: Surroundings, name: string): Promise<boolean> => {
  try {
    await around.engine.remove(name, true)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    // 409: it is being removed already.
    if (isStatus(error, 409)) return true
    throw error
  }
}

/**
 * What is not there by its name is gone only if it is not there by its labels either: somebody may have renamed it. True: it has its name
 * again. Never one that another agent has named: that is its now.
 */
export const nameAgain = async (around: Surroundings, { id, workload }: Session): Promise<boolean> => {
  if (workload === null) return false
  const { ownership, engine, log } = around
  const found = (await ownership.list(id)).find((one) => one.id === workload.id)
  if (found === undefined || found.name === workload.name || isAnothers(ownership.token(), found.name)) return false
  if (await ownership.isLost()) return false
  try {
    await engine.rename(found.name, workload.name)
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
  log.warn(
    { sessionId: id, was: found.name },
    'the container of a session was renamed from outside and has its name again',
  )
  return true
}

/** null: it is gone. */
export const inspectWorkload = async (around: Surroundings, session: Session): Promise<Inspected | null> => {
  const { workload } = session
  if (workload === null) return null
  const look = (): Promise<Inspected | null> =>
    around.engine.inspect(workload.name).catch((error: unknown) => {
      if (isMissing(error)) return null
      throw error
    })
  return (await look()) ?? ((await nameAgain(around, session)) ? look() : null)
}

/** False: there was nothing to end. */
const send = async (around: Surroundings, name: string, signal: string): Promise<boolean> => {
  try {
    await around.engine.kill(name, signal)
    return true
  } catch (error) {
    if (isMissing(error) || isStatus(error, 409)) return false
    throw error
  }
}

const isRunning = async (around: Surroundings, name: string): Promise<boolean> => {
  try {
    return (await around.engine.inspect(name)).running
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}
