/** Drain jobs: how a replica tells another that an agent whose socket it holds has something due. */
import type { PgBoss } from 'pg-boss'
import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { DrainQueue, DrainQueues } from '../../domain/ports/jobs.ts'

const PREFIX = 'outbox.drain.'
const queueOf = (replicaId: ReplicaId): string => `${PREFIX}${replicaId}`

/** Statements about drain queues, as pg-boss makes them: the queue is named in the text or in a value of it. */
export const isAboutDrains = (text: string, values: readonly unknown[]): boolean =>
  text.includes(PREFIX) || values.some((value) => typeof value === 'string' && value.includes(PREFIX))

export const createDrainQueue = (boss: PgBoss): DrainQueue => ({
  send: async (replicaId, agentIds) => {
    await boss.send(queueOf(replicaId), { agentIds })
  },
  askInventory: async (replicaId, agentId) => {
    await boss.send(queueOf(replicaId), { agentIds: [], inventoryOf: agentId })
  },
})

/** This replica's own queue and its worker. A wake is a hint: it is not retried, and soon forgotten. */
export const workDrains = async (
  boss: PgBoss,
  replicaId: ReplicaId,
  drain: (agentId: AgentId) => void,
  requestInventory: (agentId: AgentId) => void,
): Promise<void> => {
  const queue = queueOf(replicaId)
  await makeQueue(boss, queue)
  await boss.work<{ agentIds: AgentId[]; inventoryOf?: AgentId }>(
    queue,
    {
      // One fetches all that there is; a second would be woken with it, to find nothing.
      localConcurrency: 1,
      batchSize: 100,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: 1,
      notifyPollingIntervalSeconds: 5,
    },
    async (jobs) => {
      for (const agentId of new Set(jobs.flatMap((job) => job.data.agentIds))) drain(agentId)
      for (const agentId of new Set(jobs.flatMap((job) => job.data.inventoryOf ?? []))) requestInventory(agentId)
    },
  )
}

const makeQueue = (boss: PgBoss, queue: string): Promise<void> =>
  boss.createQueue(queue, {
    notify: true,
    retryLimit: 0,
    expireInSeconds: 60,
    retentionSeconds: 300,
    deleteAfterSeconds: 60,
  })

/** A replica that was taken for dead has lost its queue. Its worker goes on with the new one. */
export const keepDrainQueue = async (boss: PgBoss, replicaId: ReplicaId): Promise<void> => {
  const queue = queueOf(replicaId)
  if ((await boss.getQueue(queue)) === null) await makeQueue(boss, queue)
}

export const createDrainQueues = (boss: PgBoss): DrainQueues => ({
  replicas: async () =>
    (await boss.getQueues())
      .filter(({ name }) => name.startsWith(PREFIX))
      .map(({ name }) => name.slice(PREFIX.length) as ReplicaId),
  remove: (replicaId) => boss.deleteQueue(queueOf(replicaId)),
})

/** The worker first: one that polls a queue that is gone complains. */
export const removeDrainQueue = async (boss: PgBoss, replicaId: ReplicaId): Promise<void> => {
  await boss.offWork(queueOf(replicaId))
  await boss.deleteQueue(queueOf(replicaId))
}
