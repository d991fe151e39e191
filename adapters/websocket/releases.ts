/**
 * Gives leases up when sockets are gone: a few hundred at a time, as they may all go at once, and again later when
 * the database is gone too. Guarded by the epoch, so that being late takes nothing from a newer connection.
 */

import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { LeaseStore, Peer } from '../../domain/ports/agents.ts'
import type { DatabaseState } from './database-state.ts'
import { retryDelay, type Timing } from './timing.ts'

export type Releases = {
  readonly release: (peer: Peer) => void
  /** The agent is here again: nothing to give up. */
  readonly forget: (agentId: AgentId) => void
  /** Collects only, until `resume`. */
  readonly hold: () => void
  readonly resume: () => void
  readonly count: () => number
  readonly stop: () => void
}

/** Those that wait together become one statement (`src/delivery/gathered-connects.ts`). */
const AT_ONCE = 256

export const createReleases = (
  leases: Pick<LeaseStore, 'disconnect'>,
  replicaId: ReplicaId,
  database: DatabaseState,
  timing: Timing,
): Releases => {
  const waiting = new Map<AgentId, Peer>()
  let running = 0
  let isHeld = false
  let failures = 0
  let cancelTimer: (() => void) | null = null

  const work = (): void => {
    // Many at a time: the beginning of a map from which thousands were taken is long to find.
    if (running > AT_ONCE / 2 || cancelTimer !== null || isHeld) return
    for (const peer of waiting.values()) {
      if (running === AT_ONCE) return
      waiting.delete(peer.agentId)
      void release(peer)
    }
  }

  const release = async (peer: Peer): Promise<void> => {
    running++
    try {
      await leases.disconnect(peer, replicaId)
      failures = 0
      database.works('giving leases up')
    } catch (error) {
      database.failed('giving leases up', error)
      if (!waiting.has(peer.agentId)) waiting.set(peer.agentId, peer)
      cancelTimer ??= timing.after(retryDelay(timing, failures++), () => {
        cancelTimer = null
        work()
      })
    } finally {
      running--
    }
    work()
  }

  return {
    release: (peer) => {
      waiting.set(peer.agentId, peer)
      work()
    },
    forget: (agentId) => {
      waiting.delete(agentId)
    },
    hold: () => {
      isHeld = true
    },
    resume: () => {
      isHeld = false
      work()
    },
    count: () => waiting.size + running,
    stop: () => {
      isHeld = true
      cancelTimer?.()
      cancelTimer = null
      waiting.clear()
    },
  }
}
