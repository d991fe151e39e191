/** A session as the agent holds it: what is in the cluster, as last seen or written, and what is shown of it. */
import type { SessionId } from '../../domain/ids.ts'
import type { WireObserved } from '../protocol.ts'
import type { Log } from '../runtime/log.ts'
import { over, resting, running, starting } from '../runtime/observed.ts'
import type { PlatformListener } from '../runtime/platform.ts'
import { endpointAt } from './endpoint.ts'
import { nameOf } from './names.ts'
import type { Objects, Seen as SeenObject } from './objects-client.ts'
import type { Reach } from './reach.ts'
import { generationOf, type SessionRecord } from './record.ts'
import type { Settings } from './settings.ts'
import { type Seen, weigh } from './status.ts'
import type { AnchorView, DeploymentView, EventView, PodView } from './views.ts'

export type Life = {
  readonly sessionId: SessionId
  anchor: AnchorView | null
  deployment: DeploymentView | null
  readonly pods: Map<string, PodView>
  readonly events: Map<string, EventView>
  /** null: not known here, as its Secret was not read yet. */
  accessToken: string | null
  /** Of its Service; null: none, or not known here. */
  address: string | null
  /** What its parts were made from by the start under way (`digestOf`). */
  parts: string | null
  /** The container that was ready last. */
  wasReady: string | null
  /** Since when it starts without anyone waiting for it; milliseconds since the epoch. */
  startingSince: number | null
  observed: WireObserved
  /** When what somebody edited was put back last; milliseconds since the epoch. */
  mendedAt: number
  /** Its record was looked for by its name. */
  sought: boolean
  /** What the work under way stands on: seen when it began, or written by itself. The views above go on meanwhile. */
  basis: Basis
  /** What is being done with it; the next one interrupts it and waits for it. */
  task: { readonly controller: AbortController; readonly done: Promise<unknown> } | null
  /** Called at each change in the cluster. */
  readonly watchers: Set<() => void>
}

/**
 * `stamp`: of whoever wrote the Deployment last among agents; empty where somebody has taken it off, and only the
 * `resourceVersion` tells whether it was written since. null: there was none.
 */
export type Basis = {
  readonly anchor: SeenObject | null
  readonly deployment: (SeenObject & { readonly stamp: string }) | null
}

export const basisOf = ({ anchor, deployment }: Pick<Life, 'anchor' | 'deployment'>): Basis => ({
  anchor: anchor?.seen ?? null,
  deployment: deployment === null ? null : { ...deployment.seen, stamp: deployment.stamp },
})

/** What has to be written because of what was seen. */
export type Work = (life: Life, signal: AbortSignal) => Promise<void>

/** Every place after which the agent may be killed; a write to the cluster lies between two of them. */
export const steps = [
  'begun',
  'anchored',
  'service_made',
  'secret_made',
  'network_policy_made',
  'home_made',
  'ingress_made',
  'deployment_made',
  'parts_made',
  'scaled_up',
  'ready',
  'settled',
  'asked_to_end',
  'scaled_down',
  'anchor_removed',
] as const
export type Step = (typeof steps)[number]

export type Surroundings = {
  readonly settings: Settings
  readonly namespace: string
  readonly objects: Objects
  readonly log: Log
  readonly listener: PlatformListener
  readonly lives: Map<SessionId, Life>
  /** Takes what a write answered into what is known, as a watch would. */
  readonly learn: Learn
  readonly reach: Reach
  /** For tests that end the agent between any two steps. */
  readonly step: (name: Step) => Promise<void>
}

export type Learn = {
  readonly anchor: (object: object) => void
  readonly deployment: (object: object) => void
}

/** Of one that was not looked at yet. */
export const notSeenYet = starting(0, 'starting', 'starting')

export const lifeOf = (sessionId: SessionId): Life => ({
  sessionId,
  anchor: null,
  deployment: null,
  pods: new Map(),
  events: new Map(),
  accessToken: null,
  address: null,
  parts: null,
  wasReady: null,
  startingSince: null,
  observed: notSeenYet,
  mendedAt: 0,
  sought: false,
  basis: { anchor: null, deployment: null },
  task: null,
  watchers: new Set(),
})

export const recordOf = (life: Life): SessionRecord | null => life.anchor?.record ?? null

export const generationHeld = (life: Life): number => {
  const record = recordOf(life)
  return record === null ? 0 : generationOf(record)
}

export const look = (around: Surroundings, life: Life, record: SessionRecord): Seen =>
  weigh({
    record,
    deployment: life.deployment,
    pods: [...life.pods.values()],
    events: life.events,
    wasReady: life.wasReady,
    healthyAfterMs: around.settings.healthyAfterMs,
    now: Date.now(),
  })

export const startTimeoutMs = ({ desired }: SessionRecord): number => (desired.spec.startTimeoutSeconds ?? 300) * 1_000

/** For those who must look underneath. */
const underneath = (
  around: Surroundings,
  life: Life,
  record: SessionRecord,
  pod: PodView | null,
): Partial<WireObserved> => {
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(pod?.container?.imageId ?? '')?.[1]
  return {
    namespace: around.namespace,
    serviceName: (record.desired.spec.ports ?? []).length === 0 ? null : nameOf(life.sessionId),
    podName: pod?.name ?? null,
    containerId: pod?.container?.id?.replace(/^[a-z-]+:\/\//, '') ?? null,
    node: pod?.node ?? null,
    image: (record.desired.spec.container?.image as string | undefined) ?? null,
    imageDigest: digest ?? pod?.container?.imageId?.replace(/^docker:\/\//, '') ?? null,
  }
}

export const runningNow = (around: Surroundings, life: Life, record: SessionRecord, pod: PodView): WireObserved => {
  const endpoint = endpointAt(record.desired.spec, {
    sessionId: life.sessionId,
    settings: around.settings,
    address: life.address,
    accessToken: life.accessToken ?? '',
  })
  return { ...running(endpoint, record.restarts), ...underneath(around, life, record, pod) }
}

export const startingNow = (
  around: Surroundings,
  life: Life,
  record: SessionRecord,
  why: { readonly reason: string; readonly message: string; readonly pod: PodView | null },
): WireObserved => ({
  ...starting(record.restarts, why.reason, why.message),
  ...underneath(around, life, record, why.pod),
})

export const overNow = (
  around: Surroundings,
  life: Life,
  record: SessionRecord,
  how: Extract<Seen, { kind: 'over' }>,
): WireObserved => {
  const { status, reason, message } = how
  return {
    ...over(how.restarts ?? record.restarts, { status, reason, message }, how.exit, how.output),
    ...underneath(around, life, record, how.pod),
  }
}

export const restingNow = (record: SessionRecord, status: 'stopped' | 'hibernated'): WireObserved => ({
  ...resting(record.restarts, status),
  podName: null,
  containerId: null,
  node: null,
})

/** Shows it, and reports it when it is not what was shown before. */
export const show = (around: Surroundings, life: Life, observed: WireObserved): void => {
  const isNew = JSON.stringify(observed) !== JSON.stringify(life.observed)
  life.observed = observed
  const record = recordOf(life)
  if (!isNew || record === null || !record.settled) return
  around.listener.report({ sessionId: life.sessionId, generation: record.generation, ...observed })
}

/** Resolves at the next change of a session in the cluster, after `ms`, or when aborted. */
export const nextChange = (life: Life, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      life.watchers.delete(finish)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, Math.min(Math.max(0, ms), 2 ** 31 - 1))
    life.watchers.add(finish)
    signal.addEventListener('abort', finish)
    if (signal.aborted) finish()
  })
