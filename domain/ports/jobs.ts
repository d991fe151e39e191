import type { AgentId, ReplicaId } from '../ids.ts'
import type { ByCreation, ByName, Page, PageRequest } from './page.ts'

/** The drain jobs that cross replicas: one queue a replica, `outbox.drain.<replica>`. */
export type DrainQueue = {
  readonly send: (replicaId: ReplicaId, agentIds: readonly AgentId[]) => Promise<void>
  /** The same way: the replica asks this agent of its for an inventory. */
  readonly askInventory: (replicaId: ReplicaId, agentId: AgentId) => Promise<void>
}

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

export const jobStates = ['created', 'retry', 'active', 'completed', 'cancelled', 'failed'] as const
export type JobState = (typeof jobStates)[number]

export type QueueView = {
  readonly name: string
  readonly policy: string
  readonly counts: { readonly [S in JobState]: number }
  /** Since when the oldest job waits; null: none does. */
  readonly oldestWaitingAt: Date | null
}

export type JobView = {
  readonly id: string
  readonly queue: string
  readonly state: JobState
  readonly data: { readonly [field: string]: unknown } | null
  /** What it returned, or the error. */
  readonly output: { readonly [field: string]: unknown } | null
  readonly retryCount: number
  readonly retryLimit: number
  readonly createdAt: Date
  readonly startAfter: Date
  readonly startedAt: Date | null
  readonly completedAt: Date | null
}

/** What people see of the jobs. Lists throw `BadCursorError` for a cursor that is not theirs. */
export type JobQueries = {
  readonly queues: (page: PageRequest<ByName>) => Promise<Page<QueueView>>
  /** null: no such queue. */
  readonly jobs: (
    queue: string,
    filter: { readonly state?: readonly JobState[] },
    page: PageRequest<ByCreation>,
  ) => Promise<Page<JobView> | null>
  /** Runs a failed job once more; null: no such job. */
  readonly retry: (queue: string, id: string) => Promise<{ readonly retried: boolean; readonly job: JobView } | null>
}
