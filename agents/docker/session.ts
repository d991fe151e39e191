/** A session as the agent holds it: what is on the engine, as last seen or written, and what is shown of it. */
import type { SessionId } from '../../domain/ids.ts'
import type { Desired, WireObserved } from '../protocol.ts'
import type { Log } from '../runtime/log.ts'
import { endpointOf, over, resting, running, starting } from '../runtime/observed.ts'
import type { PlatformListener } from '../runtime/platform.ts'
import type { Engine, Listed } from './engine.ts'
import type { Health } from './health.ts'
import type { Anchor, Progress } from './names.ts'
import type { Ownership } from './ownership.ts'
import type { Settings } from './settings.ts'

export type Workload = {
  readonly name: string
  readonly id: string
  readonly generation: number
  readonly incarnation: number
  readonly running: boolean
  /** Of its image, as the registry resolved it; where no registry did, the image's own id. */
  readonly imageDigest: string | null
}

export type Session = {
  readonly id: SessionId
  /** null: nobody has said yet. */
  readonly orgId: string | null
  /** null: a workload that bears our labels and of which nothing else is known. */
  anchor: Anchor | null
  workload: Workload | null
  observed: WireObserved
  /** Port inside, such as `8080/tcp`, to the port outside. */
  published: ReadonlyMap<string, number>
  /** Something happened on the engine while something was being done with it. */
  lookAgain: boolean
  /** How often that was so. */
  heard: number
}

export type Surroundings = {
  readonly settings: Settings
  readonly engine: Engine
  /** The name of the engine's machine. */
  readonly node: () => string | null
  /** How many the engine may use. */
  readonly cores: () => number
  readonly ownership: Ownership
  readonly log: Log
  readonly listener: Pick<PlatformListener, 'report'>
  readonly health: Health
  readonly sessions: Map<SessionId, Session>
  /** Says once of a container that it is not the agent's, and why. */
  readonly leaveAlone: (container: Pick<Listed, 'id' | 'name'>, why: string) => void
  /** Told of what went wrong with the engine itself. */
  readonly trouble: (error: unknown) => void
  /** For tests that end the agent between any two steps. */
  readonly step: (name: Step) => Promise<void>
}

/** Every place in an apply after which the agent may be killed; a write to the engine lies between two of them. */
export const steps = [
  'begun',
  'anchored',
  'old_anchor_removed',
  'old_workload_ended',
  'image_there',
  'network_there',
  'workload_created',
  'home_given',
  'started',
  'ready',
  'waiting_to_restart',
  'settled',
  'asked_to_end',
  'killed',
  'workload_removed',
  'home_removed',
  'anchor_removed',
] as const
export type Step = (typeof steps)[number]

export const newSession = (id: SessionId, orgId: string | null): Session => ({
  id,
  orgId,
  anchor: null,
  workload: null,
  observed: starting(0, 'starting', 'starting'),
  published: new Map(),
  lookAgain: false,
  heard: 0,
})

const noProgress: Progress = { phase: 'applying', reason: '', restarts: 0, retries: 0 }
export const progressOf = (session: Session): Progress => session.anchor?.progress ?? noProgress

/** The generation that is so; of one that is not yet, the one below it. */
export const generationOf = ({ anchor, workload }: Session): number => {
  if (anchor === null) return workload?.generation ?? 0
  return ['applying', 'deleting'].includes(anchor.progress.phase)
    ? Math.max(0, anchor.generation - 1)
    : anchor.generation
}

/** By id, how what is held of it is called. */
export const namesOf = ({ anchor, workload }: Session): ReadonlyMap<string, string> =>
  new Map([anchor, workload].flatMap((one) => (one === null ? [] : [[one.id, one.name]])))

export const stopGraceMs = ({ spec }: Desired): number => (spec.stopGraceSeconds ?? 10) * 1_000
export const startTimeoutMs = ({ spec }: Desired): number => (spec.startTimeoutSeconds ?? 300) * 1_000

const underneath = (around: Surroundings, { anchor, workload }: Session) => ({
  containerId: workload?.id ?? null,
  node: around.node(),
  image: (anchor?.desired.spec.container?.image as string | undefined) ?? null,
  imageDigest: workload?.imageDigest ?? null,
})

export const portOutside = ({ anchor, published }: Session, name: string): number | undefined => {
  const inside = anchor?.desired.spec.ports?.find((port) => port.name === name)?.port
  return inside === undefined ? undefined : published.get(`${inside}/tcp`)
}

export const runningNow = (around: Surroundings, session: Session): WireObserved => {
  const { anchor } = session
  if (anchor === null) return running(null, 0)
  const { advertiseHost, publishAddress } = around.settings
  const endpoint = endpointOf(anchor.desired.spec, {
    host: advertiseHost ?? publishAddress,
    port: (name) => portOutside(session, name),
    accessToken: anchor.accessToken,
  })
  return { ...running(endpoint, anchor.progress.restarts), ...underneath(around, session) }
}

export const startingNow = (session: Session, reason: string, message: string): WireObserved =>
  starting(progressOf(session).restarts, reason, message)

export const overNow = (
  around: Surroundings,
  session: Session,
  ...[how, exit, output]: [Parameters<typeof over>[1], Parameters<typeof over>[2], Parameters<typeof over>[3]]
): WireObserved => ({ ...over(progressOf(session).restarts, how, exit, output), ...underneath(around, session) })

export const restingNow = (session: Session, status: 'stopped' | 'hibernated'): WireObserved =>
  resting(progressOf(session).restarts, status)

export const report = (around: Surroundings, session: Session): void => {
  const { anchor, observed } = session
  if (anchor === null || ['applying', 'deleting'].includes(anchor.progress.phase)) return
  around.listener.report({ sessionId: session.id, generation: anchor.generation, ...observed })
}
