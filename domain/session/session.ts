/**
 * A session: what was asked (`desiredState` at `generation`) and what was observed (`status` at
 * `observedGeneration`). This file has its shape; `decide.ts` has what intents do to it, `observe.ts` what
 * reports do, `deadline.ts` what the passing of time does.
 */
import type { Resources } from '../agent/agent.ts'
import type { AgentId, CommandId, OrgId, SessionId, TemplateId, UserId } from '../ids.ts'
import type { Refusal, Strategy } from '../placement/refusal.ts'
import type { TemplateSpec } from '../template/template-codec.ts'
import type { CommandType, DesiredState, SessionEventType, SessionStatus, StatusReason } from './words.ts'

export type EndpointPort = {
  readonly name: string
  readonly url: string
  readonly port: number
  readonly protocol: string
}
export type Endpoint = {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly protocol: string
  readonly ports: readonly EndpointPort[]
}

/** A template's spec with everything resolved: an agent has nothing to look up. Secrets are not in here. */
export type SessionSpec = TemplateSpec & {
  readonly resources: Resources
  readonly env: { readonly [name: string]: string }
}

/** What the platform said of the workload, as far as it said anything. */
export type Observed = {
  readonly endpoint: Endpoint | null
  readonly namespace: string | null
  readonly podName: string | null
  readonly serviceName: string | null
  readonly containerId: string | null
  readonly node: string | null
  readonly image: string | null
  readonly imageDigest: string | null
  readonly restarts: number
  readonly exitCode: number | null
  readonly exitSignal: string | null
  /** The end of what a failed session wrote, at most 4 KiB. */
  readonly lastOutput: string | null
}

export type Session = {
  readonly id: SessionId
  readonly orgId: OrgId
  readonly userId: UserId
  readonly name: string
  readonly template: { readonly id: TemplateId; readonly name: string; readonly version: number }
  /** Platforms that the template can run on, and what the caller asked of the placement. */
  readonly placement: {
    readonly platforms: readonly string[]
    readonly platform: string | null
    readonly region: string | null
    readonly agentId: AgentId | null
    /** Labels that its agent has to have. */
    readonly agentLabels?: { readonly [name: string]: string }
    /** Of the template; default: `spread`. */
    readonly strategy?: Strategy
  }
  readonly platform: string | null
  readonly region: string | null
  readonly agentId: AgentId | null
  /** The agent on which this session holds capacity: from placement until that agent says that nothing runs. */
  readonly reservedOn: AgentId | null
  readonly desiredState: DesiredState
  readonly generation: number
  readonly observedGeneration: number
  readonly status: SessionStatus
  readonly statusReason: StatusReason | null
  readonly statusMessage: string | null
  /** Why agents cannot take it, while it is `pending`; what it says at other times is over. */
  readonly refusals: readonly Refusal[]
  readonly waitingSince: Date | null
  readonly statusDeadline: Date | null
  readonly incarnation: number
  readonly labels: { readonly [name: string]: string }
  readonly parameters: { readonly [name: string]: unknown }
  /** The session's own environment, as asked; `spec.env` has everything merged. */
  readonly env: { readonly [name: string]: string }
  readonly spec: SessionSpec
  readonly resources: Resources
  readonly persistentHome: boolean
  readonly observed: Observed
  readonly idleTimeoutSeconds: number | null
  readonly maxDurationSeconds: number | null
  readonly lastActivityAt: Date | null
  readonly startedAt: Date | null
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly deletedAt: Date | null
  /** Raised by intents and PATCH; what If-Match guards. */
  readonly version: number
  /** Raised by every write, reports included; the optimistic lock of `commit`. */
  readonly revision: number
}

export const nothingObserved: Observed = {
  endpoint: null,
  namespace: null,
  podName: null,
  serviceName: null,
  containerId: null,
  node: null,
  image: null,
  imageDigest: null,
  restarts: 0,
  exitCode: null,
  exitSignal: null,
  lastOutput: null,
}

export const isPlaced = (session: Session): session is Session & { readonly agentId: AgentId } =>
  session.agentId !== null

export type SessionEvent = {
  readonly type: SessionEventType
  readonly generation: number
  /** `user:<id>`, `agent:<id>`, or a duty of the server such as `deadline` or `reconciler`. */
  readonly actor: string
  readonly at: Date
  readonly data: { readonly [name: string]: unknown }
}

/** A command to an agent, as it enters the outbox. What it carries is the row at its generation. */
export type AgentCommand = {
  readonly commandId: CommandId
  readonly agentId: AgentId
  readonly type: CommandType
  readonly generation: number
  /** `repair`: the how manieth in a row, when the server repairs something (`repair.ts`). */
  readonly payload: { readonly state: DesiredState; readonly incarnation: number; readonly repair?: number }
  /** Sent no sooner than so long after it was written; a repair's only. */
  readonly delayMs?: number
}

/** What a decision changes, all of it in one statement: the row, why, and whom to tell. */
export type Decision = {
  /** null: the session is new. */
  readonly previous: Session | null
  readonly session: Session
  readonly events: readonly SessionEvent[]
  readonly command: AgentCommand | null
}

export const isUnchanged = (decision: Decision): boolean => decision.session === decision.previous
