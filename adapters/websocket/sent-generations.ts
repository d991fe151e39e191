/**
 * The highest generation of each session that went out on one connection: a lower one must not follow it.
 * The database sees to that already (a newer generation supersedes the older row in the same statement);
 * this holds it against a read that comes from an older state, such as a replica's.
 */
import type { SessionId } from '../../domain/ids.ts'

export type SentGenerations = {
  readonly allows: (sessionId: SessionId, generation: number) => boolean
  readonly sent: (sessionId: SessionId, generation: number) => void
  readonly forget: (sessionId: SessionId) => void
  readonly isEmpty: () => boolean
}

/** The sessions sent last. Of one that is forgotten, all older rows have long been superseded. */
const REMEMBERED = 10_000

export const createSentGenerations = (): SentGenerations => {
  const highest = new Map<SessionId, number>()
  return {
    allows: (sessionId, generation) => generation >= (highest.get(sessionId) ?? 0),
    sent: (sessionId, generation) => {
      highest.delete(sessionId)
      highest.set(sessionId, generation)
      if (highest.size <= REMEMBERED) return
      for (const oldest of highest.keys()) {
        highest.delete(oldest)
        return
      }
    },
    forget: (sessionId) => {
      highest.delete(sessionId)
    },
    isEmpty: () => highest.size === 0,
  }
}
