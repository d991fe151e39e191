/** Drain jobs: how a replica tells another that an agent whose socket it holds has something due. */
import type { PgBoss } from 'pg-boss'
import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { DrainQueue } from '../../domain/ports/jobs.ts'

const queueOf = (replicaId: ReplicaId): string => `outbox.drain.${replicaId}`

export const createDrainQueue = (boss: PgBoss): DrainQueue => ({
  send: async (replicaId, agentIds) => {
    await boss.send(queueOf(replicaId), { agentIds })
  },
})

/** This replica's own queue and its worker. A wake is a hint: it is not retried, and soon forgotten. */
export const workDrains = async (
  boss: PgBoss,
  replicaId: ReplicaId,
  drain: (agentId: AgentId) => void,
): Promise<void> => {
  const queue = queueOf(replicaId)
  await boss.createQueue(queue, {
    notify: true,
    retryLimit: 0,
    expireInSeconds: 60,
    retentionSeconds: 300,
    deleteAfterSeconds: 60,
  })
  await boss.work<{ agentIds: AgentId[] }>(
    queue,
    {
      localConcurrency: 2,
      batchSize: 100,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: 1,
      notifyPollingIntervalSeconds: 5,
    },
    async (jobs) => {
      for (const agentId of new Set(jobs.flatMap((job) => job.data.agentIds))) drain(agentId)
    },
  )
}

/** The worker first: one that polls a queue that is gone complains. */
export const removeDrainQueue = async (boss: PgBoss, replicaId: ReplicaId): Promise<void> => {
  await boss.offWork(queueOf(replicaId))
  await boss.deleteQueue(queueOf(replicaId))
}
