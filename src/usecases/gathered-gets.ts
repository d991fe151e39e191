/**
 * Single reads, gathered: those of an org that are wanted at the same moment are one query, whoever of the org wants them. A busy
 * server then pays once for what it paid for each (the round trip, the description of the columns), an org with a thousand users
 * takes no more connections than one with a single user, and one read on its own is not delayed. What a read answers was read after it
 * was asked for.
 */
import type { Scope } from '../../domain/identity/caller.ts'
import type { OrgId, SessionId } from '../../domain/ids.ts'
import type { SessionQueries, WantedSession } from '../../domain/ports/sessions.ts'
import type { SessionView } from '../../domain/session/session-view.ts'
import { createBatch } from '../delivery/batch.ts'
import { createLines } from '../delivery/lines.ts'

export type GetSession = (scope: Scope, id: SessionId) => Promise<SessionView | null>

const AT_ONCE = 200
/** Far above what a read by primary key takes on a database that is well. */
const OVERTAKE_AFTER_MS = 50

export const gatheredGets = (queries: Pick<SessionQueries, 'get'>): GetSession => {
  const gets = createLines((orgId: OrgId) =>
    createBatch((wanted: readonly WantedSession[]) => queries.get(orgId, wanted), {
      minIntervalMs: 0,
      overtakeAfterMs: OVERTAKE_AFTER_MS,
      maxItems: AT_ONCE,
    }),
  )
  return ({ orgId, ownerId }, id) => gets.add(orgId, { id, ownerId })
}
