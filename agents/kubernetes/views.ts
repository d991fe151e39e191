/**
 * What is remembered of objects in the cluster: a few fields of each, as a cache of whole objects for a thousand
 * sessions would take more memory than all else together.
 */
import type {
  CoreV1Event,
  KubernetesObject,
  V1ConfigMap,
  V1ContainerState,
  V1Deployment,
  V1Pod,
} from '@kubernetes/client-node'
import { AGENT_LABEL, GENERATION, nameOf, SESSION_LABEL, STAMP, START, sessionOf, sessionOfPod } from './names.ts'
import { type Seen, seenOf } from './objects-client.ts'
import { recordIn, type SessionRecord } from './record.ts'

export type AnchorView = {
  readonly seen: Seen
  /** The last one that could be read. */
  readonly record: SessionRecord | null
  readonly going: boolean
  /** Its agent's label is on it: without, nobody finds it again. */
  readonly agent: string | null
  /** Somebody has edited what is in it, and it cannot be read any more. */
  readonly damaged: boolean
}

export type DeploymentView = {
  readonly seen: Seen
  /** Of its label. */
  readonly agent: string | null
  /** The uid of the record that it belongs to; null: it does not go when the record goes. */
  readonly owner: string | null
  readonly generation: number
  readonly start: number
  /** Of whoever wrote it last among agents. */
  readonly stamp: string
  /** Somebody may have taken off all. */
  readonly hasAnnotations: boolean
  readonly replicas: number
  readonly going: boolean
  /** Why no pod can be made, in the server's words. */
  readonly refusal: string | null
}

export type Termination = {
  readonly reason: string
  readonly exitCode: number
  /** The end of its output, when it ended badly. */
  readonly output: string | null
  readonly ranMs: number
}

export type ContainerView = {
  readonly id: string | null
  readonly imageId: string | null
  readonly state: 'running' | 'terminated' | 'waiting'
  readonly waiting: { readonly reason: string; readonly message: string } | null
  /** The last ending, of this container or the one before. */
  readonly ended: Termination | null
  /** The end before that, where it has ended twice and not begun again. */
  readonly endedBefore: Termination | null
  readonly restarts: number
  readonly ready: boolean
}

export type PodView = {
  readonly uid: string
  readonly name: string
  readonly start: number
  readonly createdAt: string
  readonly going: boolean
  readonly phase: string
  /** Such as `Evicted`; empty as a rule. */
  readonly reason: string
  readonly message: string
  readonly node: string | null
  /** What the scheduler says while it finds no place. */
  readonly unschedulable: string | null
  readonly container: ContainerView | null
  /** Its container was seen to run: one that does not any more has ended, whatever the kubelet calls it. */
  readonly ran: boolean
  /** Since when its container runs, or ran last, by the node's clock; milliseconds since the epoch. */
  readonly runningSince: number | null
  /** Of its label. */
  readonly agent: string | null
  /** Somebody has taken the session's label off: its ReplicaSet has let it go and made another. */
  readonly released: boolean
  /** It was seen with the session's label. */
  readonly wasOurs: boolean
  /** It is no longer there, and its end was not counted yet. */
  readonly departed: boolean
}

export type EventView = { readonly reason: string; readonly message: string; readonly warning: boolean }

/** `before`: as it was seen last. */
export const anchorView = (object: V1ConfigMap, before: AnchorView | null = null): AnchorView => {
  const seen = seenOf(object)
  const read = recordIn(object)
  const known = before?.seen.uid === seen.uid ? before.record : null
  return {
    seen,
    record: read ?? known,
    going: object.metadata?.deletionTimestamp !== undefined,
    agent: object.metadata?.labels?.[AGENT_LABEL] ?? null,
    damaged: read === null,
  }
}

/** The record that an object belongs to; null: none of its name. */
const ownerOf = ({ metadata }: KubernetesObject): string | null => {
  const sessionId = sessionOf(metadata?.name)
  const owner = metadata?.ownerReferences?.find(
    ({ kind, name }) => kind === 'ConfigMap' && sessionId !== null && name === nameOf(sessionId),
  )
  return owner?.uid ?? null
}

/** Whether an agent has made it, whoever has edited it since. */
export const isMade = (object: V1Deployment): boolean =>
  ownerOf(object) !== null || object.metadata?.annotations?.[STAMP] !== undefined

const numberIn = (text: string | undefined): number =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0

export const deploymentView = (object: V1Deployment): DeploymentView => {
  const { metadata, spec, status } = object
  const failure = status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')
  return {
    seen: seenOf(object),
    agent: metadata?.labels?.[AGENT_LABEL] ?? null,
    owner: ownerOf(object),
    generation: numberIn(metadata?.annotations?.[GENERATION]),
    start: numberIn(metadata?.annotations?.[START]),
    stamp: metadata?.annotations?.[STAMP] ?? '',
    hasAnnotations: metadata?.annotations !== undefined,
    replicas: spec?.replicas ?? 1,
    going: metadata?.deletionTimestamp !== undefined,
    refusal: failure?.message ?? null,
  }
}

const time = (value: Date | string | undefined): number => (value === undefined ? 0 : new Date(value).getTime())

const since = (value: Date | string | undefined): number | null => (value === undefined ? null : time(value))

const terminationOf = (state: V1ContainerState | undefined): Termination | null => {
  const ended = state?.terminated
  if (ended === undefined || ended === null) return null
  return {
    reason: ended.reason ?? '',
    exitCode: ended.exitCode,
    output: ended.message?.trim() ? ended.message : null,
    ranMs: Math.max(0, time(ended.finishedAt) - time(ended.startedAt)),
  }
}

const containerView = (pod: V1Pod): ContainerView | null => {
  const status = pod.status?.containerStatuses?.[0]
  if (status === undefined) return null
  const { running, terminated, waiting } = status.state ?? {}
  const [ended, before] = [terminationOf(status.state), terminationOf(status.lastState)]
  return {
    id: status.containerID || null,
    imageId: status.imageID || null,
    state: running ? 'running' : terminated ? 'terminated' : 'waiting',
    waiting: waiting ? { reason: waiting.reason ?? '', message: waiting.message ?? '' } : null,
    ended: ended ?? before,
    endedBefore: ended === null ? null : before,
    restarts: status.restartCount,
    ready: status.ready,
  }
}

/** `before`: as it was seen last. */
export const podView = (pod: V1Pod, before?: PodView): PodView => {
  const { metadata, status, spec } = pod
  const container = containerView(pod)
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  const released = metadata?.labels?.[SESSION_LABEL] !== sessionOfPod(metadata?.name)
  return {
    uid: metadata?.uid ?? '',
    name: metadata?.name ?? '',
    // It never changes: another number is somebody's edit.
    start: before?.start ?? numberIn(metadata?.annotations?.[START]),
    createdAt: String(metadata?.creationTimestamp ?? ''),
    going: metadata?.deletionTimestamp !== undefined,
    phase: status?.phase ?? 'Unknown',
    reason: status?.reason ?? '',
    message: status?.message ?? '',
    node: spec?.nodeName ?? null,
    unschedulable: scheduled?.status === 'False' ? (scheduled.message ?? scheduled.reason ?? 'no place yet') : null,
    container,
    // The phase says so to an agent that was not there: it never goes back from Running to Pending.
    ran:
      before?.ran === true ||
      container?.state === 'running' ||
      container?.ended != null ||
      (status?.phase === 'Running' && container !== null),
    runningSince: since(status?.containerStatuses?.[0]?.state?.running?.startedAt) ?? before?.runningSince ?? null,
    agent: metadata?.labels?.[AGENT_LABEL] ?? null,
    released,
    wasOurs: !released || before?.wasOurs === true,
    departed: false,
  }
}

/** One that is no longer there, until its end was counted. */
export const departed = (pod: PodView): PodView => ({
  ...pod,
  going: true,
  departed: true,
  phase: 'Failed',
  container: null,
})

export const eventView = (event: CoreV1Event): EventView => ({
  reason: event.reason ?? '',
  message: (event.message ?? '').slice(0, 1_000),
  warning: event.type === 'Warning',
})
