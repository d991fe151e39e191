/** What the server's recurring duties ask of the database. Each works in small batches. */
import type { AgentId, CommandId, ReplicaId, SessionId } from '../ids.ts'

export type GivenUp = {
  readonly commandId: CommandId
  readonly sessionId: SessionId
  readonly agentId: AgentId
  readonly generation: number
  readonly fate: 'dead' | 'expired'
  readonly error: string
}

export type DutyStore = {
  /** Rows whose back-off is over become due; returns their agents. */
  readonly endBackOffs: (limit: number) => Promise<readonly AgentId[]>
  /** Commands with too many unanswered sends are dead; starts and wakes past their time are expired. */
  readonly giveUp: (limit: number) => Promise<readonly GivenUp[]>
  /** Newest commands of these sessions that were given up, and are still. */
  readonly givenUpOf: (sessionIds: readonly SessionId[]) => Promise<readonly GivenUp[]>
  /** Connected agents that have something due, whether or not anyone is moving it. */
  readonly agentsWithDueCommands: (limit: number) => Promise<readonly AgentId[]>
  /** Marks this replica alive. `unknown`: there was no such replica, as it is new or was taken for dead. */
  readonly replicaAlive: (replicaId: ReplicaId, url: string) => Promise<'known' | 'unknown'>
  /** Frees the leases of replicas that have been silent for so long (ms), and forgets them. */
  readonly releaseDeadReplicas: (silentAfterMs: number) => Promise<readonly ReplicaId[]>
  readonly replicaIds: () => Promise<readonly ReplicaId[]>
  readonly replicaGone: (replicaId: ReplicaId) => Promise<void>
}
