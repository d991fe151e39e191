import type { AgentId, ReplicaId } from '../ids.ts'

/** The drain jobs that cross replicas: one queue a replica, `outbox.drain.<replica>`. */
export type DrainQueue = { readonly send: (replicaId: ReplicaId, agentIds: readonly AgentId[]) => Promise<void> }

/** All of those queues, also of replicas that are gone. */
export type DrainQueues = {
  readonly replicas: () => Promise<readonly ReplicaId[]>
  readonly remove: (replicaId: ReplicaId) => Promise<void>
}

/** A recurring duty of the server: run by one replica at a time, again after `everyMs`, whatever became of the last run. */
export type Duty = {
  readonly name: string
  readonly everyMs: number
  /** Returns what it did, as figures for the log and the job's output. */
  readonly run: () => Promise<{ readonly [figure: string]: number }>
}
