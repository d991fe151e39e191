/**
 * Single reads, gathered: those that are wanted at the same moment are one query for each scope. A busy server
 * then pays once for what it paid for each (the round trip, the description of the columns), and one read on its
 * own is not delayed. What a read answers was read after it was asked for.
 */
import type { Scope } from '../../domain/identity/caller.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { SessionQueries } from '../../domain/ports/sessions.ts'
import type { SessionView } from '../../domain/session/session-view.ts'
import { createBatch } from '../delivery/batch.ts'

export type GetSession = (scope: Scope, id: SessionId) => Promise<SessionView | null>

type Wanted = { readonly scope: Scope; readonly id: SessionId }

const AT_ONCE = 200
/** Far above what a read by primary key takes on a database that is well. */
const OVERTAKE_AFTER_MS = 50

export const gatheredGets = (queries: Pick<SessionQueries, 'get'>): GetSession => {
  const gets = createBatch((wanted: readonly Wanted[]) => read(queries, wanted), {
    minIntervalMs: 0,
    overtakeAfterMs: OVERTAKE_AFTER_MS,
    maxItems: AT_ONCE,
  })
  return (scope, id) => gets.add({ scope, id })
}

const read = async (
  queries: Pick<SessionQueries, 'get'>,
  wanted: readonly Wanted[],
): Promise<readonly (SessionView | null)[]> => {
  const answers = new Map<Wanted, SessionView | null>()
  const byScope = Map.groupBy(wanted, ({ scope }) => JSON.stringify([scope.orgId, scope.ownerId]))
  await Promise.all(
    [...byScope.values()].map(async (group) => {
      const [first] = group
      if (first === undefined) return
      const views = await queries.get(
        first.scope,
        group.map(({ id }) => id),
      )
      for (const [index, one] of group.entries()) answers.set(one, views[index] ?? null)
    }),
  )
  return wanted.map((one) => answers.get(one) ?? null)
}
