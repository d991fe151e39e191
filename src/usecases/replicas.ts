/**
 * Which server replicas there are. Each says every few seconds that it lives; one that has been silent for long is
 * dead: its agents' leases are freed and its queue is removed.
 *
 * Silence is judged only by a replica that has itself been heard for that long without a gap. When the database was
 * away nobody was heard, and whoever looks first must not take all others for dead: their agents would lose their
 * sockets for nothing.
 */
import type { ReplicaId } from '../../domain/ids.ts'
import type { DutyStore } from '../../domain/ports/duties.ts'
import type { DrainQueues, Duty } from '../../domain/ports/jobs.ts'

/** How often a replica says that it lives, and how long one may be silent. */
export const ALIVE_EVERY_MS = 5_000
export const REPLICA_SILENT_MS = 20_000
/** Two signs of life further apart than this have a gap between them. */
const LONGEST_GAP_MS = 10_000

export type Presence = {
  /** Says that this replica lives. Rejects when that could not be written. */
  readonly beat: () => Promise<void>
  /** For how long it has been heard without a gap, in milliseconds. */
  readonly steadyForMs: () => number
}

export type PresenceDeps = {
  readonly duties: Pick<DutyStore, 'replicaAlive'>
  readonly replicaId: ReplicaId
  readonly url: string
  /** Milliseconds of a clock that never jumps, and that goes on while the process stands still. */
  readonly now: () => number
  /** The others had taken this replica for dead: its leases are not its own any more. */
  readonly wasTakenForDead: () => void
}

export const createPresence = ({ duties, replicaId, url, now, wasTakenForDead }: PresenceDeps): Presence => {
  let heard: { readonly since: number; readonly last: number } | null = null
  return {
    beat: async () => {
      const began = now()
      const known = heard
      const was = await duties.replicaAlive(replicaId, url)
      const steady = known !== null && now() - known.last <= LONGEST_GAP_MS
      heard = { since: steady ? known.since : now(), last: began }
      if (known !== null && was === 'unknown') wasTakenForDead()
    },
    steadyForMs: () => (heard === null || now() - heard.last > LONGEST_GAP_MS ? 0 : now() - heard.since),
  }
}

export type ReplicasDeps = {
  readonly duties: Pick<DutyStore, 'releaseDeadReplicas' | 'replicaIds'>
  readonly drainQueues: Pick<DrainQueues, 'replicas' | 'remove'>
  readonly presence: Pick<Presence, 'steadyForMs'>
}

export const replicas = (deps: ReplicasDeps): Duty => ({
  name: 'replicas',
  everyMs: 5_000,
  run: async () => {
    if (deps.presence.steadyForMs() < REPLICA_SILENT_MS) return { dead: 0, queuesRemoved: 0 }
    const dead = await deps.duties.releaseDeadReplicas(REPLICA_SILENT_MS)
    // In this order: a replica is known before it has a queue.
    const withQueue = await deps.drainQueues.replicas()
    const known = new Set(await deps.duties.replicaIds())
    const left = withQueue.filter((replicaId) => !known.has(replicaId))
    for (const replicaId of left) await deps.drainQueues.remove(replicaId)
    return { dead: dead.length, queuesRemoved: left.length }
  },
})
