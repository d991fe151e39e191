import type { Agent, Capacity } from '../agent/agent.ts'
import type { E } from '../fp.ts'
import type { AgentId, OrgId, ReplicaId, SessionId } from '../ids.ts'
import type { Guard } from './if-match.ts'
import type { ById, Page, PageRequest } from './page.ts'

export type AgentFilter = {
  readonly platform?: readonly string[]
  readonly region?: readonly string[]
  readonly status?: readonly Agent['status'][]
}

export type Enrolment = {
  readonly id: AgentId
  readonly orgId: OrgId | null
  readonly platform: string
  readonly region: string | null
  readonly labels: { readonly [name: string]: string }
  readonly tokenHash: Buffer
}

/**
 * What went with an agent: sessions that it had and that nobody was deleting. They are `failed` and can be started
 * elsewhere, without what was in their homes.
 */
export type LostSessions = {
  readonly count: number
  /** The first `MOST_LOST_NAMED` of them, by id. */
  readonly sessions: readonly { readonly id: SessionId; readonly name: string; readonly orgId: OrgId }[]
  /** For the trail of each org that lost some. */
  readonly byOrg: readonly LostOfOrg[]
}

export type LostOfOrg = {
  readonly orgId: OrgId
  readonly count: number
  /** The first `MOST_LOST_OF_ORG` of them, in order. */
  readonly sessionIds: readonly SessionId[]
}

/** Named in one answer; their history has the others. */
export const MOST_LOST_NAMED = 1_000
/** Named in one entry of an audit trail, which is cut when it is larger than 16 KiB. */
export const MOST_LOST_OF_ORG = 100

/** An agent as whoever changes it means it: of this org, or (null) the installation's. */
export type OwnedAgent = Pick<Agent, 'id' | 'orgId'>

/** Agents of an org, and the shared ones. */
export type AgentStore = {
  readonly get: (orgId: OrgId, id: AgentId) => Promise<Agent | null>
  readonly list: (orgId: OrgId, filter: AgentFilter, page: PageRequest<ById>) => Promise<Page<Agent>>
  /** Everyone who might take a session of this org; figures are a snapshot, the commit has the last word. */
  readonly candidates: (orgId: OrgId) => Promise<readonly Agent[]>
  /** False: the id is taken. */
  readonly enrol: (enrolment: Enrolment) => Promise<boolean>
  /** False: it has another revision. */
  readonly setTokenHash: (agent: OwnedAgent, tokenHash: Buffer, guard?: Guard) => Promise<boolean>
  /** Its revision now; null: it had another one. */
  readonly setCordoned: (agent: OwnedAgent, cordoned: boolean, guard?: Guard) => Promise<number | null>
  /** Only when it has no sessions; otherwise nothing changes, and it is said how many there are. null: it has another revision. */
  readonly removeEmpty: (agent: OwnedAgent, guard?: Guard) => Promise<number | null>
  /** With its sessions, whatever it has. null: it has another revision. */
  readonly remove: (agent: OwnedAgent, guard?: Guard) => Promise<LostSessions | null>
}

/** Who an agent's token belongs to. */
export type AgentIdentity = {
  readonly agentId: AgentId
  readonly orgId: OrgId | null
  readonly platform: string
  /** By which it was identified: it has to be the agent's still when the connection is made. */
  readonly tokenHash?: Buffer
}

export type Connecting = {
  readonly agentId: AgentId
  readonly replicaId: ReplicaId
  readonly version: string
  readonly region: string | null
  readonly labels: { readonly [name: string]: string }
  readonly capacity: Capacity
  readonly tokenHash?: Buffer
  /** The highest epoch the agent was ever welcomed with; above ours means that the database was restored. */
  readonly lastEpoch: number | null
}

/** A connection that may speak for an agent: every write on its behalf is refused once the epoch has moved on. */
export type Peer = { readonly agentId: AgentId; readonly epoch: number }

export type Heartbeat = Peer & {
  readonly activeSessions: number
  readonly inventoryHash: string
  readonly capacity: Capacity | null
  readonly degradedReason: string | null
}

/** Left: the agent is gone, or the token is its own no more. */
export type Connected = E.Either<{ readonly _tag: 'AgentGone' }, { readonly epoch: number }>

export type HeldLease = Peer & { readonly tokenHash: Buffer | undefined }
/** `index`: in what was asked. `revoked`: the agent is gone, or the token by which it was identified is its own no more. */
export type LostLease = { readonly index: number; readonly why: 'revoked' | 'replaced' }

/** Leases: which replica speaks for an agent, under which epoch. */
export type LeaseStore = {
  readonly identify: (tokenHash: Buffer) => Promise<AgentIdentity | null>
  /** Raises the epoch, takes the lease and makes all undelivered commands due. Left: the agent is gone. */
  readonly connect: (connecting: Connecting) => Promise<Connected>
  /** Gives the lease up, if it is still ours. */
  readonly disconnect: (peer: Peer, replicaId: ReplicaId) => Promise<void>
  /** Writes liveness in one batch; returns the peers whose lease is no longer theirs. */
  readonly heartbeat: (beats: readonly Heartbeat[], replicaId: ReplicaId) => Promise<readonly Peer[]>
  /** Those of a replica's leases that are its own no more. */
  readonly lost: (held: readonly HeldLease[], replicaId: ReplicaId) => Promise<readonly LostLease[]>
  /** Which replica holds each of these agents now. Agents that nobody holds are left out. */
  readonly holders: (
    agentIds: readonly AgentId[],
  ) => Promise<readonly { readonly agentId: AgentId; readonly replicaId: ReplicaId }[]>
}

/** The same for many agents at once, answered in order. */
export type LeaseBatches = {
  readonly identifyMany: (tokenHashes: readonly Buffer[]) => Promise<readonly (AgentIdentity | null)[]>
  /** Of one replica; each agent once. */
  readonly connectMany: (connecting: readonly Connecting[]) => Promise<readonly Connected[]>
  readonly disconnectMany: (peers: readonly Peer[], replicaId: ReplicaId) => Promise<void>
}
