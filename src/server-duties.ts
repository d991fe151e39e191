/** What a server replica does by itself, and that it says it is alive. */
import type { Logger } from 'pino'
import type { startBoss } from '../adapters/pgboss/boss.ts'
import { createDrainQueues, keepDrainQueue } from '../adapters/pgboss/drains.ts'
import { workDuties } from '../adapters/pgboss/duties.ts'
import { createAgentDrains } from '../adapters/postgres/agent-drains.ts'
import type { Database } from '../adapters/postgres/pool.ts'
import { createRetentionStore } from '../adapters/postgres/retention.ts'
import type { ReplicaId } from '../domain/ids.ts'
import type { Duty } from '../domain/ports/jobs.ts'
import type { ServerSettings } from './program/settings.ts'
import type { ServerSecrets } from './server-secrets.ts'
import { drainAgents } from './usecases/drain-agents.ts'
import { type DutyDeps, deadlines, PLACEMENT, placement, sweep } from './usecases/duties.ts'
import { ALIVE_EVERY_MS, type Presence, replicas } from './usecases/replicas.ts'
import { retention } from './usecases/retention.ts'

/** Many reports at once ask for one look at what waits for a place. */
const PLACEMENT_AFTER_MS = 50

export type ServerDutyDeps = {
  readonly core: DutyDeps
  readonly database: Database
  readonly boss: Awaited<ReturnType<typeof startBoss>>
  readonly secrets: Pick<ServerSecrets, 'cursors' | 'sealer' | 'duties'>
  readonly more: readonly Duty[]
  readonly replicaId: ReplicaId
  readonly presence: Presence
  /** After each sign of life. */
  readonly countReplicas: () => Promise<void>
  readonly log: Logger
}

export type ServerDuties = {
  /** Some agent has more room than it had. */
  readonly roomFreed: () => void
  readonly stop: () => void
}

export const startDuties = async (
  { core, database, boss, secrets, more, replicaId, presence, countReplicas, log }: ServerDutyDeps,
  settings: Pick<ServerSettings, 'commandTtlMs' | 'retention'>,
): Promise<ServerDuties> => {
  const told = (what: string) => (error: unknown) => log.warn({ err: error }, what)
  const { cursors, sealer } = secrets
  const running = await workDuties(
    boss,
    [
      sweep(core),
      deadlines(core),
      placement(core),
      ...secrets.duties,
      ...more,
      drainAgents({
        ...core,
        drains: createAgentDrains(database, cursors, { commandTtlMs: settings.commandTtlMs, seal: sealer.seal }),
      }),
      replicas({ duties: core.duties, presence, drainQueues: createDrainQueues(boss) }),
      retention({
        retention: createRetentionStore(database),
        periods: settings.retention,
        elapsed: () => performance.now(),
      }),
    ],
    told('a duty failed or was not sent; the next timer sends it again'),
  )
  const alive = setInterval(
    () =>
      void presence
        .beat()
        .then(() => keepDrainQueue(boss, replicaId))
        .then(countReplicas)
        .catch(told('this replica could not say that it is alive')),
    ALIVE_EVERY_MS,
  )
  alive.unref()
  let placementAsked = false
  return {
    roomFreed: () => {
      if (placementAsked) return
      placementAsked = true
      setTimeout(() => {
        placementAsked = false
        running.soon(PLACEMENT)
      }, PLACEMENT_AFTER_MS).unref()
    },
    stop: () => {
      clearInterval(alive)
      running.stop()
    },
  }
}
