/** The container that a session is: how it is made, and how it ends. */
import { setTimeout as wait } from 'node:timers/promises'
import type Docker from 'dockerode'
import { containerEnvironment } from '../container/environment.ts'
import type { ContainerSpec } from '../container/spec.ts'
import { isMissing, isStatus } from './engine.ts'
import { label, workloadLabels, workloadName } from './names.ts'
import { type Session, type Surroundings, stopGraceMs, type Workload } from './session.ts'

/** Two files a session: what programs write must not fill the disk. */
const LOGS = { Type: 'json-file', Config: { 'max-size': '4m', 'max-file': '2' } }

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
      NanoCpus: cpuMillis * 1_000_000,
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
  if (await send(around, workload.name, grace > 0 ? 'SIGTERM' : 'SIGKILL')) {
    await around.step('asked_to_end')
    const until = Date.now() + grace
    for (let pause = 10; ; pause = Math.min(pause * 2, LONGEST_LOOK_MS)) {
      if (!(await isRunning(around, workload.name))) break
      if (signal?.aborted) return 'interrupted'
      if (Date.now() >= until && (await send(around, workload.name, 'SIGKILL'))) await around.step('killed')
      await wait(pause)
    }
  }
  await around.engine.remove(workload.name, true).catch((error: unknown) => {
    // 409: it is being removed already.
    if (!isMissing(error) && !isStatus(error, 409)) throw error
  })
  session.workload = null
  session.published = new Map()
  await around.step('workload_removed')
  return 'gone'
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
