/** Sessions, intents and reports as tests need them: everything has a value, a test names what it is about. */
import type { AgentId, CommandId, OrgId, SessionId, TemplateId, UserId } from '../../domain/ids.ts'
import type { Intent, Slot } from '../../domain/session/decision.ts'
import type { Report, ReportContext } from '../../domain/session/observe.ts'
import { nothingObserved, type Observed, type Session } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { DesiredState, SessionStatus } from '../../domain/session/words.ts'

export const T0 = new Date('2026-03-01T12:00:00.000Z')
/** `T0` and so many seconds. */
export const later = (seconds: number): Date => new Date(T0.getTime() + seconds * 1000)

export const AGENT = 'edge-1' as AgentId
export const OTHER_AGENT = 'edge-2' as AgentId
export const ORG = 'acme' as OrgId
export const SESSION = '01890a5d-ac96-774b-bcce-b302099a8057' as SessionId

export const timeouts: Timeouts = { pendingMs: 600_000, startMs: 300_000, stopMs: 60_000 }

export const anIntent = (changes: Partial<Intent> = {}): Intent => ({
  actor: 'user:ada',
  at: later(100),
  commandId: '01890a5d-ac96-774b-bcce-b302099a8c01' as CommandId,
  timeouts,
  ...changes,
})

export const placedOn = (agentId: AgentId = AGENT): Extract<Slot, { kind: 'placed' }> => ({
  kind: 'placed',
  agentId,
  platform: 'process',
  region: 'eu',
})

export const noRoom: Extract<Slot, { kind: 'waiting' }> = {
  kind: 'waiting',
  reason: 'no_capacity',
  message: 'edge-1: holds 2 of 2 sessions',
}

/** What a row in this status has besides it. */
const waits: { readonly [S in SessionStatus]: Partial<Session> } = {
  pending: { statusReason: 'no_capacity', statusMessage: 'edge-1: full', waitingSince: T0, statusDeadline: later(600) },
  scheduling: { statusReason: 'queued_for_agent', waitingSince: T0, statusDeadline: later(300) },
  hibernating: { statusReason: 'by_request', waitingSince: T0, statusDeadline: later(60) },
  stopping: { statusReason: 'by_request', waitingSince: T0, statusDeadline: later(60) },
  deleting: { statusReason: 'by_request', waitingSince: T0, statusDeadline: later(60) },
  running: {},
  hibernated: { statusReason: 'by_request' },
  stopped: { statusReason: 'by_request' },
  failed: { statusReason: 'exited_early' },
}

const usuallyAsked: { readonly [S in SessionStatus]: DesiredState } = {
  pending: 'running',
  scheduling: 'running',
  running: 'running',
  failed: 'running',
  hibernating: 'hibernated',
  hibernated: 'hibernated',
  stopping: 'stopped',
  stopped: 'stopped',
  deleting: 'deleted',
}

const settledStatuses: readonly SessionStatus[] = ['running', 'hibernated', 'stopped', 'failed']
/** Statuses in which nothing runs, so that no capacity is held. */
const resting: readonly SessionStatus[] = ['hibernated', 'stopped', 'failed']

/** A session of generation 3 on `AGENT`, running unless a status is named. `agentId: null`: never placed. */
export const aSession = (changes: Partial<Session> = {}): Session => {
  const status = changes.status ?? 'running'
  const agentId = changes.agentId === undefined ? AGENT : changes.agentId
  const generation = changes.generation ?? 3
  return {
    id: SESSION,
    orgId: ORG,
    userId: 'ada' as UserId,
    name: 'Ada’s desk',
    template: { id: '01890a5d-ac96-774b-bcce-b302099a8058' as TemplateId, name: 'hello-web', version: 2 },
    placement: { platforms: ['process'], platform: null, region: null, agentId: null },
    platform: agentId === null ? null : 'process',
    region: agentId === null ? null : 'eu',
    agentId,
    reservedOn: agentId === null || resting.includes(status) ? null : agentId,
    desiredState: usuallyAsked[status],
    generation,
    observedGeneration: settledStatuses.includes(status) ? generation : generation - 1,
    status,
    statusReason: null,
    statusMessage: null,
    refusals: [],
    waitingSince: null,
    statusDeadline: null,
    incarnation: 0,
    labels: {},
    parameters: {},
    env: {},
    spec: { process: { command: ['node'] }, resources: { cpuMillis: 250, memoryMib: 128 }, env: {} },
    resources: { cpuMillis: 250, memoryMib: 128 },
    persistentHome: true,
    observed: nothingObserved,
    idleTimeoutSeconds: null,
    maxDurationSeconds: null,
    lastActivityAt: T0,
    startedAt: null,
    createdAt: T0,
    updatedAt: T0,
    deletedAt: null,
    version: 5,
    revision: 9,
    ...waits[status],
    ...changes,
  }
}

export const aTombstone = (changes: Partial<Session> = {}): Session =>
  aSession({ status: 'deleting', deletedAt: T0, waitingSince: null, statusDeadline: null, ...changes })

export const anEndpoint: NonNullable<Observed['endpoint']> = {
  url: 'http://127.0.0.1:4000',
  host: '127.0.0.1',
  port: 4000,
  protocol: 'http',
  ports: [{ name: 'http', url: 'http://127.0.0.1:4000', port: 4000, protocol: 'http' }],
}

export const observing = (changes: Partial<Observed>): { readonly observed: Observed } => ({
  observed: { ...nothingObserved, ...changes },
})

export const aReport = (changes: Partial<Report> = {}): Report => ({
  generation: 3,
  status: 'running',
  reason: null,
  message: null,
  observed: {},
  ...changes,
})

export const heard = (changes: Partial<ReportContext> = {}): ReportContext => ({
  agentId: AGENT,
  at: later(100),
  timeouts,
  ...changes,
})
