/**
 * Heartbeats of one connection on their way to the core: one at a time, and only the newest of those that
 * came meanwhile. A heartbeat that cannot be written is not kept, the next one says more.
 */
import type { Frame } from '../../agents/protocol.ts'
import type { Heartbeat, Peer } from '../../domain/ports/agents.ts'
import type { AgentInbox, ReportAnswer } from '../../domain/ports/delivery.ts'

export type Heartbeats = {
  readonly beat: (frame: Frame<'heartbeat'>) => void
  /** The agent cannot use its platform, with why; null when it can again. Written with the last heartbeat. */
  readonly degraded: (reason: string | null) => void
}

type HeartbeatsDeps = {
  readonly inbox: Pick<AgentInbox, 'heartbeat'>
  readonly answered: (answer: ReportAnswer) => void
}

export const createHeartbeats = ({ inbox, answered }: HeartbeatsDeps, peer: Peer): Heartbeats => {
  let last: Heartbeat | null = null
  let degradedReason: string | null = null
  let next: Heartbeat | null = null
  let writing = false

  const write = async (beat: Heartbeat): Promise<void> => {
    next = beat
    if (writing) return
    writing = true
    while (next !== null) {
      const newest: Heartbeat = next
      next = null
      try {
        answered(await inbox.heartbeat(newest))
      } catch {
        // The inbox has said so in the log.
      }
    }
    writing = false
  }

  return {
    beat: ({ activeSessions, inventoryHash, capacity = null }) => {
      // Most say what the one before said. What is kept of each for an interval outlives two collections, and ten
      // thousand of those are work for the next.
      if (
        last === null ||
        capacity !== null ||
        last.capacity !== null ||
        last.activeSessions !== activeSessions ||
        last.inventoryHash !== inventoryHash
      )
        last = { ...peer, activeSessions, inventoryHash, capacity, degradedReason }
      void write(last)
    },
    degraded: (reason) => {
      degradedReason = reason
      if (last === null) return
      last = { ...last, degradedReason: reason }
      void write(last)
    },
  }
}
