/** An orphan: what an agent has of a session that the database does not know, or that is another agent's. */
import type { AgentId, OrgId, SessionId } from '../ids.ts'
import type { ObservedStatus } from '../session/words.ts'

export const orphanReasons = ['unknown', 'not_yours'] as const
export type OrphanReason = (typeof orphanReasons)[number]

/**
 * There: `seen` (in its grace period, or held by the brake), `approved` (by a person, about to be removed),
 * `removing` (its command is on its way). Not any more: `removed`, `gone` (by itself), `known` (a session of this
 * agent has its id by now), `adopted` (an operator has made it one).
 */
export const orphanStates = ['seen', 'approved', 'removing', 'removed', 'gone', 'known', 'adopted'] as const
export type OrphanState = (typeof orphanStates)[number]

export const presentStates = ['seen', 'approved', 'removing'] as const satisfies readonly OrphanState[]

export type Orphan = {
  readonly sessionId: SessionId
  readonly agentId: AgentId
  /** As the agent's last inventory had it. */
  readonly generation: number
  readonly status: ObservedStatus
  readonly reason: OrphanReason
  readonly state: OrphanState
  readonly firstSeenAt: Date
  readonly lastSeenAt: Date
  readonly approvedAt: Date | null
  readonly approvedBy: string | null
  readonly commandId: string | null
  readonly removalBegunAt: Date | null
  readonly endedAt: Date | null
}

export const agentEventTypes = [
  'orphans_seen',
  'orphans_ended',
  'orphans_approved',
  'orphan_adopted',
  'orphan_removal_begun',
  'orphans_removed',
  'orphan_removal_held',
  'orphan_removal_halted',
  'orphan_removal_resumed',
] as const
export type AgentEventType = (typeof agentEventTypes)[number]

/** Something that happened to an agent beside its sessions. */
export type AgentEvent = {
  readonly id: number
  readonly agentId: AgentId
  readonly type: AgentEventType
  readonly at: Date
  readonly actor: string
  readonly data: { readonly [name: string]: unknown }
}

/** Whether orphans are removed at all: anywhere, or from an org's own agents. */
export type OrphanRemoval = {
  readonly halted: boolean
  readonly haltedAt: Date | null
  /** The agent that was ahead of the database, or who asked for it. */
  readonly haltedBy: string | null
  readonly haltedReason: string | null
  readonly resumedAt: Date | null
  readonly resumedBy: string | null
  /** Raised whenever it is halted or resumed. */
  readonly revision: number
}

/** An org from whose own agents no orphan is removed. */
export type HaltedOrg = {
  readonly orgId: OrgId
  readonly haltedAt: Date
  readonly haltedBy: string
  readonly haltedReason: string
}

/** Halted is: everywhere. The revision is raised by the halts of orgs, too. */
export type InstallationOrphanRemoval = OrphanRemoval & {
  /** How many orgs it is halted for, beside that. */
  readonly haltedOrgs: number
  /** The first of them. */
  readonly orgs: readonly HaltedOrg[]
}

/** As it is when it was let go on. */
export type ResumedOrphanRemoval = InstallationOrphanRemoval & {
  /** The halts of orgs that this has ended: all of them, as each org is told. */
  readonly lifted: readonly HaltedOrg[]
}

export type OrgOrphanRemoval = OrphanRemoval & { readonly orgId: OrgId }
