/** Drain jobs: how a replica tells another that an agent whose socket it holds has something due. */
import type { PgBoss } from 'pg-boss'
import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { DrainQueue, DrainQueues } from '../../domain/ports/jobs.ts'
import { startDrainWorker } from './drain-worker.ts'

const PREFIX = 'outbox.drain.'
const queueOf = (replicaId: ReplicaId): string => `${PREFIX}${replicaId}`

/** Statements about drain queues, as pg-boss makes them: the queue is named in the text or in a value of it. */
export const isAboutDrains = (text: string, values: readonly unknown[]): boolean =>
  text.includes(PREFIX) || values.some(namesDrains)

const namesDrains = (value: unknown): boolean =>
  typeof value === 'string' ? value.startsWith(PREFIX) : Array.isArray(value) && value.some(namesDrains)

export const createDrainQueue = (boss: PgBoss): DrainQueue => ({
  send: async (replicaId, agentIds) => {
    await boss.send(queueOf(replicaId), { agentIds })
  },
  askInventory: async (replicaId, agentId) => {
    await boss.send(queueOf(replicaId), { agentIds: [], inventoryOf: agentId })
  },
})

type Drain = { readonly agentIds: readonly AgentId[]; readonly inventoryOf?: AgentId }

/** Who hears of new jobs: the names of their queues, null when some may have been missed. */
export type Overhear = (onNotification: (queue: string | null) => void) => () => void

export type DrainWork = {
  readonly boss: PgBoss
  readonly overhear: Overhear
  readonly replicaId: ReplicaId
  readonly drain: (agentId: AgentId) => void
  readonly requestInventory: (agentId: AgentId) => void
  readonly onError: (error: unknown) => void
}

export type WorkingDrains = {
  /** The replica took part and leaves: its worker ends, then its queue goes. */
  readonly leave: () => Promise<void>
}

/** This replica's own queue and its worker. A wake is a hint: it is not retried, and soon forgotten. */
export const workDrains = async (work: DrainWork): Promise<WorkingDrains> => {
  const { boss, overhear, replicaId, drain, requestInventory, onError } = work
  const queue = queueOf(replicaId)
  await makeQueue(boss, queue)
  const act = (jobs: readonly Drain[]): void => {
    for (const agentId of new Set(jobs.flatMap(({ agentIds }) => agentIds))) drain(agentId)
    for (const agentId of new Set(jobs.flatMap(({ inventoryOf }) => inventoryOf ?? []))) requestInventory(agentId)
  }
  const worker = startDrainWorker<Drain>(boss, queue, act, onError)
  const deafen = overhear((named) => {
    worker.hears()
    if (named === queue || named === null) worker.wake()
  })
  return {
    leave: async () => {
      deafen()
      worker.stop()
      await boss.deleteQueue(queue)
    },
  }
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
