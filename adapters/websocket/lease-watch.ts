/**
 * Asks every two seconds whether the leases that this replica speaks under are still its own: a token that was
 * revoked or an agent that was removed through another replica, a newer connection elsewhere, a lease that was
 * freed while this process stood still. Nothing can be written under such a lease anyway; this ends the sockets
 * too, and does not depend on anyone who would have to say so.
 *
 * One statement for all connections. While the database is away nobody can have taken anything over: the sockets
 * stay.
 */
import { closeCodes } from '../../agents/protocol.ts'
import type { ReplicaId } from '../../domain/ids.ts'
import type { HeldLease, LeaseStore, LostLease } from '../../domain/ports/agents.ts'
import type { DatabaseState } from './database-state.ts'
import type { Timing } from './timing.ts'

export type Watched = HeldLease & { readonly end: (code: number, reason: string) => void }

export type LeaseWatch = {
  readonly add: (watched: Watched) => void
  readonly remove: (watched: Watched) => void
  /** What came over it was refused: asks at once why, and ends it for that reason. */
  readonly fenced: (watched: Watched) => void
  readonly stop: () => void
}

export const WATCH_EVERY_MS = 2_000

const WHY: { readonly [W in LostLease['why']]: readonly [code: number, reason: string] } = {
  revoked: [closeCodes.revoked, 'this agent was removed, or its token was revoked'],
  replaced: [closeCodes.replaced, 'replaced by a newer connection'],
}

const WHAT = 'looking after leases'

export const createLeaseWatch = (
  leases: Pick<LeaseStore, 'lost'>,
  replicaId: ReplicaId,
  database: DatabaseState,
  timing: Timing,
): LeaseWatch => {
  const all = new Set<Watched>()
  let cancelTimer: (() => void) | null = null
  let asking = false
  let stopped = false

  const schedule = (): void => {
    if (cancelTimer !== null || asking || stopped || all.size === 0) return
    cancelTimer = timing.after(WATCH_EVERY_MS, () => {
      cancelTimer = null
      asking = true
      void look().finally(() => {
        asking = false
        schedule()
      })
    })
  }

  const look = async (): Promise<void> => {
    const held = [...all]
    if (held.length === 0) return
    try {
      const lost = await leases.lost(held, replicaId)
      database.works(WHAT)
      for (const { index, why } of lost) {
        const watched = held[index]
        if (watched !== undefined && all.has(watched)) watched.end(...WHY[why])
      }
    } catch (error) {
      database.failed(WHAT, error)
    }
  }

  const remove = (watched: Watched): void => {
    all.delete(watched)
    if (all.size > 0) return
    cancelTimer?.()
    cancelTimer = null
  }

  return {
    add: (watched) => {
      all.add(watched)
      schedule()
    },
    remove,
    fenced: (watched) => {
      if (!all.has(watched)) return
      remove(watched)
      void leases
        .lost([watched], replicaId)
        .then(([lost]) => lost?.why ?? 'replaced')
        .catch(() => 'replaced' as const)
        .then((why) => watched.end(...WHY[why]))
    },
    stop: () => {
      stopped = true
      cancelTimer?.()
      cancelTimer = null
    },
  }
}
