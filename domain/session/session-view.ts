/** A session as the API shows it: what `GET /sessions/{id}` answers, field by field. */
import type { Resources } from '../agent/agent.ts'
import type { Refusal } from '../placement/refusal.ts'
import type { Endpoint, Session } from './session.ts'
import type { DesiredState, SessionStatus, StatusReason } from './words.ts'

export type SessionView = {
  readonly id: string
  readonly name: string
  readonly orgId: string
  readonly userId: string
  readonly template: { readonly name: string; readonly version: number }
  readonly platform: string | null
  readonly region: string | null
  readonly labels: { readonly [name: string]: string }
  /** Secrets are null. */
  readonly parameters: { readonly [name: string]: unknown }
  readonly env: { readonly [name: string]: string }
  readonly persistentHome: boolean
  readonly agentId: string | null
  readonly agentReachable: boolean
  readonly desiredState: DesiredState
  readonly status: SessionStatus
  readonly statusReason: StatusReason | null
  readonly statusMessage: string | null
  /** Of a pending session: why each agent cannot take it. */
  readonly refusals: readonly Refusal[]
  readonly waitingSince: Date | null
  readonly deadline: Date | null
  readonly generation: number
  readonly observedGeneration: number
  readonly endpoint: Endpoint | null
  readonly namespace: string | null
  readonly podName: string | null
  readonly serviceName: string | null
  readonly incarnation: number
  readonly resources: Resources
  readonly idleTimeoutSeconds: number | null
  readonly maxDurationSeconds: number | null
  readonly lastActivityAt: Date | null
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly startedAt: Date | null
  readonly deletedAt: Date | null
  readonly restarts: number
  readonly exitCode: number | null
  readonly exitSignal: string | null
  readonly lastOutput: string | null
  readonly node: string | null
  readonly image: string | null
  readonly imageDigest: string | null
  readonly containerId: string | null
  readonly version: number
}

export type SessionField = keyof SessionView

export const sessionView = (session: Session, agentReachable: boolean): SessionView => ({
  id: session.id,
  name: session.name,
  orgId: session.orgId,
  userId: session.userId,
  template: { name: session.template.name, version: session.template.version },
  platform: session.platform,
  region: session.region,
  labels: session.labels,
  parameters: session.parameters,
  env: session.env,
  persistentHome: session.persistentHome,
  agentId: session.agentId,
  agentReachable,
  desiredState: session.desiredState,
  status: session.status,
  statusReason: session.statusReason,
  statusMessage: session.statusMessage,
  refusals: session.status === 'pending' ? session.refusals : [],
  waitingSince: session.waitingSince,
  deadline: session.statusDeadline,
  generation: session.generation,
  observedGeneration: session.observedGeneration,
  endpoint: session.observed.endpoint,
  namespace: session.observed.namespace,
  podName: session.observed.podName,
  serviceName: session.observed.serviceName,
  incarnation: session.incarnation,
  resources: session.resources,
  idleTimeoutSeconds: session.idleTimeoutSeconds,
  maxDurationSeconds: session.maxDurationSeconds,
  lastActivityAt: session.lastActivityAt,
  createdAt: session.createdAt,
  updatedAt: session.updatedAt,
  startedAt: session.startedAt,
  deletedAt: session.deletedAt,
  restarts: session.observed.restarts,
  exitCode: session.observed.exitCode,
  exitSignal: session.observed.exitSignal,
  lastOutput: session.observed.lastOutput,
  node: session.observed.node,
  image: session.observed.image,
  imageDigest: session.observed.imageDigest,
  containerId: session.observed.containerId,
  version: session.version,
})
