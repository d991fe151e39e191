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
   * Its Deployment was removed from outside: what follows is as `answer` says. `isCounted`: its pod's end was heard of first,
   * and is among the restarts.
   */
  | {
      readonly kind: 'missing'
      readonly answer: 'again' | 'over'
      readonly isCounted: boolean
      readonly message: string
    }

type Fault = { readonly exit: Exit; readonly ending: Ending | null; readonly termination: ContainerView['ended'] }

export const weigh = (situation: Situation): Seen => {
  const { record, deployment, pods } = situation
  const started = pods.filter(({ start }) => start === record.start)
  const present = started.filter((pod) => !isSurplus(pod, started))
  const fresh = present.map((pod) => ({ pod, count: endings(pod) - (record.counted[pod.uid] ?? 0) }))
  const sum = fresh.reduce((total, { count }) => total + Math.max(0, count), 0)
  if (deployment === null || deployment.going) {
    const isCounted = started.length > 0 && sum === 0 && !started.some(isUsable)
    return whenMissing(situation, isCounted)
  }
  if (sum > 0) return whenEnded(situation, present, fresh, sum)
  if (deployment.refusal !== null && !present.some(isUsable)) return whenRefused(deployment.refusal)
  const pod = present.filter(isUsable).sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))[0]
  if (pod === undefined)
    return { kind: 'starting', reason: 'starting', message: 'waiting for Kubernetes to make a pod', pod: null }
  return ofPod(pod, situation)
}

const isLost = ({ phase, reason }: PodView): boolean => phase === 'Failed' || reason === 'NodeLost'
const isUsable = (pod: PodView): boolean => !pod.going && !pod.released && !isLost(pod)

/** Made because somebody scaled it up by hand, and taken away as it was put back: the session's own pod is the elder one. */
const isSurplus = (pod: PodView, all: readonly PodView[]): boolean =>
  pod.going && all.some((other) => isUsable(other) && other.createdAt < pod.createdAt)

/** How often its command has ended, or was taken away, in the life of a pod. */
const endings = (pod: PodView): number => {
  const { container } = pod
  const ended = (container?.restarts ?? 0) + (container?.state === 'terminated' ? 1 : 0)
  return ended === 0 && !isUsable(pod) ? 1 : ended
}

const faultOf = (pod: PodView, { desired }: SessionRecord): Fault => {
  const ended = pod.container?.ended ?? null
  const exit: Exit = ended === null ? { kind: 'unknown' } : exitOf(ended.exitCode)
  return { exit, ending: endingOf(pod, ended, desired.spec.resources.memoryMib), termination: ended }
}

const endingOf = (pod: PodView, ended: ContainerView['ended'], memoryMib: number): Ending | null => {
  if (pod.reason === 'Evicted') return { reason: 'evicted', message: `its pod was evicted: ${pod.message}` }
  if (pod.reason === 'NodeLost')
    return { reason: 'node_lost', message: `the node ${pod.node ?? ''} is lost: ${pod.message}` }
  if (ended?.reason === 'OOMKilled') return outOfMemory(memoryMib)
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
  { record, healthyAfterMs }: Situation,
  present: readonly PodView[],
  fresh: readonly { readonly pod: PodView; readonly count: number }[],
  sum: number,
): Seen => {
  const last = fresh.findLast(({ count }) => count > 0)?.pod as PodView
  const { exit, ending, termination } = faultOf(last, record)
  const before = record.restarts + sum - 1
  const forgiven = (termination?.ranMs ?? 0) >= healthyAfterMs ? before : record.forgiven
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

const whenMissing = ({ record }: Situation, isCounted: boolean): Seen => {
  const ending = { reason: 'removed_outside', message: 'its Deployment was removed from outside' }
  if (isCounted) return { kind: 'missing', answer: 'again', isCounted, message: ending.message }
  const retries = record.restarts - record.forgiven
  const next = policyOf(record.desired.spec.restart, { exit: { kind: 'unknown' }, ending }, retries)
  return { kind: 'missing', answer: next.kind === 'restart' ? 'again' : 'over', isCounted, message: next.message }
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

const whenRefused = (refusal: string): Seen =>
  /exceeded quota/i.test(refusal)
    ? failed('quota_exceeded', `the namespace's quota does not allow it: ${refusal}`, null)
    : failed('platform_error', `Kubernetes refuses to make its pod: ${refusal}`, null)

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
