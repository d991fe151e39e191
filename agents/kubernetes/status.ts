/**
 * How a session is, from what its Deployment, its pods and their events say: pure. The kubelet starts containers
 * again for ever and knows no limit, so the restart policy is judged here (docs/decisions/0081): what is `over`
 * is scaled to nothing by whoever asked.
 */
import type { Backoff } from '../../domain/template/restart.ts'
import type { WireSpec } from '../protocol.ts'
import { type Ending, type Exit, exitOf, outOfMemory } from '../runtime/exit.ts'
import { afterExit } from '../runtime/restart-policy.ts'
import type { SessionRecord } from './record.ts'
import type { ContainerView, DeploymentView, EventView, PodView } from './views.ts'

export type Situation = {
  readonly record: SessionRecord
  readonly deployment: DeploymentView | null
  readonly pods: readonly PodView[]
  /** The last event that was heard of a pod, by its uid. */
  readonly events: ReadonlyMap<string, EventView>
  /** A container that was ready before: one that is busy for a moment is not taken for one that starts. */
  readonly wasReady: string | null
  readonly healthyAfterMs: number
  /** Milliseconds since the epoch. */
  readonly now: number
}

export type Seen =
  | { readonly kind: 'running'; readonly pod: PodView }
  | { readonly kind: 'starting'; readonly reason: string; readonly message: string; readonly pod: PodView | null }
  /** It ended and is started again; to be written down, as pods go and take their counts with them. */
  | {
      readonly kind: 'restarting'
      readonly restarts: number
      readonly forgiven: number
      readonly counted: SessionRecord['counted']
      readonly message: string
    }
  | {
      readonly kind: 'over'
      readonly status: 'stopped' | 'failed'
      readonly reason: string
      readonly message: string
      readonly exit: Exit | null
      readonly output: string | null
      readonly pod: PodView | null
      /** Where the kubelet was faster than its restarts were counted: how often it was started again in all. */
      readonly restarts?: number
    }
  /**
   * Its Deployment was removed from outside, or scaled to nothing: what follows is as `answer` says. `isCounted`: that is among
   * the restarts, as its pod's end was heard of first, or as the start that followed has come to nothing.
   */
  | {
      readonly kind: 'missing'
      readonly answer: 'again' | 'over'
      readonly isCounted: boolean
      readonly forgiven: number
      readonly message: string
    }

type Fault = { readonly exit: Exit; readonly ending: Ending | null; readonly termination: ContainerView['ended'] }

export const weigh = (situation: Situation): Seen => {
  const { record, deployment, pods } = situation
  const started = pods.filter(({ start }) => start === record.start)
  const present = started.filter((pod) => !isSurplus(pod, started))
  const fresh = present.map((pod) => ({ pod, count: endings(pod) - (record.counted[pod.uid] ?? 0) }))
  const sum = fresh.reduce((total, { count }) => total + Math.max(0, count), 0)
  const isCounted = record.again === record.start || (started.length > 0 && sum === 0 && !started.some(isUsable))
  if (deployment === null || deployment.going)
    return whenMissing(situation, started, 'its Deployment was removed from outside', isCounted)
  if (sum > 0) return whenEnded(situation, present, fresh, sum)
  if (wasScaledAway(record, deployment, started))
    return whenMissing(situation, started, 'its Deployment was scaled to nothing from outside', isCounted)
  if (deployment.refusal !== null && !present.some(isUsable)) return whenRefused(deployment.refusal)
  const pod = present.filter(isUsable).sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))[0]
  if (pod === undefined)
    return { kind: 'starting', reason: 'starting', message: 'waiting for Kubernetes to make a pod', pod: null }
  return ofPod(pod, situation)
}

/** While no agent looked: otherwise the end of its pod has been counted. */
const wasScaledAway = (record: SessionRecord, deployment: DeploymentView, started: readonly PodView[]): boolean =>
  deployment.replicas === 0 &&
  deployment.start === record.start &&
  started.length === 0 &&
  Object.keys(record.counted).length === 0

const isLost = ({ phase, reason }: PodView): boolean => phase === 'Failed' || reason === 'NodeLost'
const isUsable = (pod: PodView): boolean => !pod.going && !pod.released && !isLost(pod)

/** Made because somebody scaled it up by hand, and taken away as it was put back: the session's own pod is the elder one. */
export const isSurplus = (pod: PodView, all: readonly PodView[]): boolean =>
  pod.going && all.some((other) => isUsable(other) && other.createdAt < pod.createdAt)

/**
 * How often its command has ended, or was taken away, in the life of a pod. Of a container that waits to be started again the
 * kubelet counts no restart yet, and may never have said that it was terminated.
 */
const endings = (pod: PodView): number => {
  const { container } = pod
  const hasEnded = container !== null && container.state !== 'running' && container.ended !== null
  const ended = (container?.restarts ?? 0) + (hasEnded ? 1 : 0)
  return ended === 0 && !isUsable(pod) ? 1 : ended
}

/** How long it ran before it ended, in milliseconds: of one that was taken away while it ran no node says so. */
const ranMs = (pod: PodView, now: number): number =>
  isUsable(pod) || pod.container?.state === 'terminated' || pod.runningSince === null
    ? (pod.container?.ended?.ranMs ?? 0)
    : Math.max(0, now - pod.runningSince)

const OOM_KILLED = 'OOMKilled'
/** Of a container that was ended by SIGKILL (128 + 9). */
const KILLED = 137

/**
 * Where it has ended twice before that was counted, the last end counts. But containerd does not see each time, before it tells the kubelet of a
 * kill, that it was for want of memory (containerd/containerd#8180): then the end before says why.
 */
const endOf = ({ container }: PodView, count: number): ContainerView['ended'] => {
  const { ended, endedBefore } = container ?? { ended: null, endedBefore: null }
  const wasTheSame = count > 1 && ended?.exitCode === KILLED && endedBefore?.reason === OOM_KILLED
  return ended !== null && wasTheSame ? { ...ended, reason: OOM_KILLED } : ended
}

/** `count`: how often it has ended since that was last counted. */
const faultOf = (pod: PodView, { desired }: SessionRecord, count: number): Fault => {
  const ended = endOf(pod, count)
  const exit: Exit = ended === null ? { kind: 'unknown' } : exitOf(ended.exitCode)
  return { exit, ending: endingOf(pod, ended, desired.spec.resources.memoryMib), termination: ended }
}

const endingOf = (pod: PodView, ended: ContainerView['ended'], memoryMib: number): Ending | null => {
  if (pod.reason === 'Evicted') return { reason: 'evicted', message: `its pod was evicted: ${pod.message}` }
  if (pod.reason === 'NodeLost')
    return { reason: 'node_lost', message: `the node ${pod.node ?? ''} is lost: ${pod.message}` }
  if (ended?.reason === OOM_KILLED) return outOfMemory(memoryMib)
  if (pod.going || pod.released) return { reason: 'removed_outside', message: 'its pod was removed from outside' }
  if (isLost(pod) && ended === null)
    return { reason: 'platform_error', message: `its pod failed: ${pod.reason} ${pod.message}`.trim() }
  return null
}

/** The kubelet's: the first time at once, then doubled (kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle). */
const KUBELET_BACKOFF: Backoff = { baseMs: 10_000, capMs: 300_000 }

const policyOf = (
  restart: WireSpec['restart'],
  fault: Pick<Fault, 'exit' | 'ending'>,
  retries: number,
): ReturnType<typeof afterExit> => {
  const next = afterExit(restart, { ...fault, retries, backoff: KUBELET_BACKOFF })
  // How soon is the kubelet's to say.
  return next.kind === 'restart' ? { ...next, message: next.message.replace(/ in [\d.]+ s(?= \()/, '') } : next
}

const whenEnded = (
  { record, healthyAfterMs, now }: Situation,
  present: readonly PodView[],
  fresh: readonly { readonly pod: PodView; readonly count: number }[],
  sum: number,
): Seen => {
  const { pod: last, count } = fresh.findLast((one) => one.count > 0) as (typeof fresh)[number]
  const { exit, ending, termination } = faultOf(last, record, count)
  const before = record.restarts + sum - 1
  const forgiven = ranMs(last, now) >= healthyAfterMs ? before : record.forgiven
  const next = policyOf(record.desired.spec.restart, { exit, ending }, before - forgiven)
  if (next.kind !== 'restart')
    return {
      kind: 'over',
      status: next.kind,
      reason: next.reason,
      message: next.message,
      exit,
      output: termination?.output ?? null,
      pod: last,
      restarts: before,
    }
  const counted = Object.fromEntries(present.map((pod) => [pod.uid, endings(pod)]))
  return { kind: 'restarting', restarts: record.restarts + sum, forgiven, counted, message: next.message }
}

const whenMissing = (
  { record, healthyAfterMs, now }: Situation,
  started: readonly PodView[],
  what: string,
  isCounted: boolean,
): Seen => {
  if (isCounted) return { kind: 'missing', answer: 'again', isCounted, forgiven: record.forgiven, message: what }
  const wasWell = started.some(({ runningSince }) => runningSince !== null && now - runningSince >= healthyAfterMs)
  const forgiven = wasWell ? record.restarts : record.forgiven
  const ending = { reason: 'removed_outside', message: what }
  const next = policyOf(record.desired.spec.restart, { exit: { kind: 'unknown' }, ending }, record.restarts - forgiven)
  const answer = next.kind === 'restart' ? 'again' : 'over'
  return { kind: 'missing', answer, isCounted, forgiven, message: next.message }
}

const failed = (reason: string, message: string, pod: PodView | null): Seen => ({
  kind: 'over',
  status: 'failed',
  reason,
  message,
  exit: null,
  output: null,
  pod,
})

/** A quota that is full, or an admission that is away, may let it be made in a moment. */
const whenRefused = (refusal: string): Seen => ({
  kind: 'starting',
  pod: null,
  ...(/exceeded quota/i.test(refusal)
    ? { reason: 'quota_exceeded', message: `the namespace's quota does not allow it: ${refusal}` }
    : { reason: 'platform_error', message: `Kubernetes refuses to make its pod: ${refusal}` }),
})

const starting = (pod: PodView, reason: string, message: string): Seen => ({ kind: 'starting', reason, message, pod })

const NOT_FOUND = /not found|manifest unknown|does not exist|unknown manifest/i
const NETWORK = /dial tcp|lookup|timeout|timed out|connection refused|no route|temporary failure/i

const ofWaiting = (
  pod: PodView,
  { reason, message }: { readonly reason: string; readonly message: string },
  event?: EventView,
): Seen => {
  switch (reason) {
    case 'InvalidImageName':
      return failed('image_not_found', `the image cannot be named so: ${message}`, pod)
    case 'ErrImagePull':
    case 'ImagePullBackOff':
    case 'RegistryUnavailable': {
      // What went wrong is in the first of the two and in the events, not in the backing off.
      const why = reason === 'ImagePullBackOff' && event?.message ? event.message : message
      return NOT_FOUND.test(why) && !NETWORK.test(why)
        ? failed('image_not_found', why, pod)
        : starting(pod, 'image_pull_failed', why)
    }
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
      return /runAsNonRoot|run as root|non-numeric user/i.test(message)
        ? failed('rejected', `${message}. Pods here may not run as root: name a user in container.user`, pod)
        : starting(pod, 'platform_error', message)
    case 'CrashLoopBackOff':
      return starting(pod, 'restarting', message)
    default:
      if (event?.reason === 'Pulling') return starting(pod, 'pulling_image', event.message)
      return starting(pod, 'starting', event?.warning === true ? event.message : 'its container is being made')
  }
}

const ofPod = (pod: PodView, { wasReady, events }: Situation): Seen => {
  const { container } = pod
  if (pod.unschedulable !== null) return starting(pod, 'unschedulable', pod.unschedulable)
  const event = events.get(pod.uid)
  if (container === null)
    return starting(pod, 'starting', event?.warning === true ? event.message : 'its pod is being made')
  if (container.waiting !== null) return ofWaiting(pod, container.waiting, event)
  if (container.state === 'running' && (container.ready || container.id === wasReady)) return { kind: 'running', pod }
  const probed = event?.reason === 'Unhealthy' ? `; last: ${event.message}` : ''
  return starting(pod, 'starting', `waiting for it to answer its probe${probed}`)
}
