/** An agent as the core sees it: an identity, what it offers, and whether it can be reached. */
import type { AgentId, OrgId, ReplicaId } from '../ids.ts'

export type Resources = { readonly cpuMillis: number; readonly memoryMib: number }
export type Capacity = Resources & { readonly maxSessions: number }
export type Allocation = Resources & { readonly sessions: number }

export type AgentStatus = 'online' | 'degraded' | 'offline'

export type Agent = {
  readonly id: AgentId
  /** null: shared by all orgs. */
  readonly orgId: OrgId | null
  readonly platform: string
  readonly region: string | null
  readonly labels: { readonly [name: string]: string }
  readonly version: string | null
  readonly status: AgentStatus
  readonly statusReason: string | null
  readonly cordoned: boolean
  /** To be empty: what can be moved is moved (`placement/outlook.ts`). Only one that is cordoned is. */
  readonly draining: boolean
  /** null until the agent has connected once: nothing is known of it yet. */
  readonly capacity: Capacity | null
  readonly allocated: Allocation
  readonly epoch: number
  readonly replicaId: ReplicaId | null
  readonly connectedAt: Date | null
  readonly disconnectedAt: Date | null
  readonly lastHeartbeatAt: Date | null
  /** Raised by what people change of it. */
  readonly revision: number
}

/** Beats missed before an agent counts as degraded, and before it counts as gone (and its socket is closed). */
export const DEGRADED_AFTER_INTERVALS = 3
export const OFFLINE_AFTER_INTERVALS = 6

export type Liveness = {
  readonly connected: boolean
  readonly lastHeartbeatAt: Date | null
  readonly degradedReason: string | null
  /** Why orphans of this agent are not removed: it needs a person, and is no trouble for sessions. */
  readonly orphansHeld?: string | null
}

type Shown = { readonly status: AgentStatus; readonly statusReason: string | null }

/** What is shown of an agent's liveness. Silence makes it unreachable; it never destroys anything. */
export const agentStatus = (liveness: Liveness, now: Date, heartbeatIntervalMs: number): Shown => {
  const { status, statusReason } = reachability(liveness, now, heartbeatIntervalMs)
  const held = liveness.orphansHeld ?? null
  const reasons = [statusReason, held === null ? null : `orphans: ${held}`].filter((reason) => reason !== null)
  return { status, statusReason: reasons.length === 0 ? null : reasons.join('; ') }
}

const reachability = (liveness: Liveness, now: Date, heartbeatIntervalMs: number): Shown => {
  if (!liveness.connected) return { status: 'offline', statusReason: 'not connected' }
  const silentMs = liveness.lastHeartbeatAt === null ? 0 : now.getTime() - liveness.lastHeartbeatAt.getTime()
  if (silentMs > OFFLINE_AFTER_INTERVALS * heartbeatIntervalMs)
    return { status: 'offline', statusReason: `silent for ${Math.round(silentMs / 1000)} s` }
  if (liveness.degradedReason !== null) return { status: 'degraded', statusReason: liveness.degradedReason }
  if (silentMs > DEGRADED_AFTER_INTERVALS * heartbeatIntervalMs)
    return { status: 'degraded', statusReason: `last heartbeat ${Math.round(silentMs / 1000)} s ago` }
  return { status: 'online', statusReason: null }
}

/** As it will be when a session of these resources is placed there as well. */
export const withOneMore = (agent: Agent, { cpuMillis, memoryMib }: Resources): Agent => ({
  ...agent,
  allocated: {
    sessions: agent.allocated.sessions + 1,
    cpuMillis: agent.allocated.cpuMillis + cpuMillis,
    memoryMib: agent.allocated.memoryMib + memoryMib,
  },
})
