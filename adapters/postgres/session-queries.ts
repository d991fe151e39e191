/** Reads of sessions for the API: each is one indexed query that returns what is shown. */
import type { Scope } from '../../domain/identity/caller.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { SessionQueries } from '../../domain/ports/sessions.ts'
import { sessionStatuses } from '../../domain/session/words.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { COMMAND_COLUMNS, commandFromRow, eventFromRow } from './history-rows.ts'
import { beforeAll, orderOf } from './order.ts'
import type { Row, Tenants } from './pool.ts'
import { matching, parameters } from './session-filters.ts'
import { sessionList } from './session-list.ts'
import { LIVENESS, REACHABLE, VIEW_COLUMNS, viewFromRow } from './session-row.ts'

/** `OFFSET 0`: one after another by their key. Joined, all sessions of an org are read where most orgs have few and this one many. */
const GET = `
SELECT w.place, ${VIEW_COLUMNS}, ${REACHABLE('$4')}
  FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY w (id, owner_id, place)
  CROSS JOIN LATERAL (
    SELECT * FROM sessions one
     WHERE one.id = w.id AND one.org_id = $1 AND one.deleted_at IS NULL AND (w.owner_id IS NULL OR one.user_id = w.owner_id)
    OFFSET 0
  ) s ${LIVENESS}`

export const createSessionQueries = (
  database: Tenants,
  cursors: Cursors,
  settings: { readonly agentSilentAfterMs: number },
): SessionQueries => {
  const exists = async (scope: Scope, id: SessionId): Promise<boolean> => {
    const { rowCount } = await database.of(scope.orgId).query({
      name: 'session_exists',
      text: 'SELECT 1 FROM sessions WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL AND ($3::text IS NULL OR user_id = $3)',
      values: [id, scope.orgId, scope.ownerId],
    })
    return rowCount > 0
  }

  return {
    get: async (orgId, wanted) => {
      const [ids, owners] = [wanted.map(({ id }) => id), wanted.map(({ ownerId }) => ownerId)]
      const { rows } = await database.of(orgId).query({
        name: 'get_sessions',
        text: GET,
        values: [orgId, ids, owners, settings.agentSilentAfterMs],
      })
      const views = new Map(rows.map((row) => [row.place as number, viewFromRow(row)]))
      return wanted.map((_, index) => views.get(index + 1) ?? null)
    },

    list: async (scope, filter, sort, page, fields = null) => {
      const list = listOf('sessions', scope.orgId, { ...filter, sort, owner: scope.ownerId })
      const from = cursors.decode(list, page.cursor)
      const asked = { scope, filter, sort, after: from, limit: page.limit, fields, ...settings }
      const { rows } = await database.of(scope.orgId).query(sessionList(asked))
      const { items, nextCursor } = pageOf(
        rows,
        page.limit,
        (row: Row): string => row.json,
        (row: Row) => cursors.encode(list, [row.sort_key, row.id]),
      )
      return { items: `[${items.join(',')}]`, nextCursor }
    },

    summary: async (scope, filter) => {
      const params = parameters()
      const { from, where } = matching(scope, filter, params)
      const { rows } = await database.of(scope.orgId).query({
        text: `SELECT s.status, count(*) AS n FROM ${from} WHERE ${where.join(' AND ')} GROUP BY 1`,
        values: params.values,
      })
      const counts = new Map<string, number>(rows.map((row) => [row.status, row.n]))
      const byStatus = Object.fromEntries(sessionStatuses.map((status) => [status, counts.get(status) ?? 0]))
      return { total: rows.reduce((sum, row) => sum + row.n, 0), byStatus: byStatus as never }
    },

    events: async (scope, id, { limit, cursor, sort = 'at' }) => {
      if (!(await exists(scope, id))) return null
      const list = listOf('events', scope.orgId, { id, sort })
      const from = cursors.decode(list, cursor)
      const { beyond, direction } = orderOf(sort)
      const { rows } = await database.of(scope.orgId).query({
        name: `session_events ${direction}`,
        text: `SELECT id, session_id, type, generation, at, actor, data FROM session_events
                WHERE session_id = $1 AND id ${beyond} $2 AND org_id = $4 ORDER BY id ${direction} LIMIT $3`,
        values: [id, from?.[0] ?? beforeAll.bigint[direction], limit + 1, scope.orgId],
      })
      return pageOf(rows, limit, eventFromRow, (row: Row) => cursors.encode(list, [row.id]))
    },

    commandsOf: async (scope, id, { limit, cursor, sort = 'generation' }) => {
      if (!(await exists(scope, id))) return null
      const list = listOf('session commands', scope.orgId, { id, sort })
      const from = cursors.decode(list, cursor)
      const { beyond, direction } = orderOf(sort)
      const { rows } = await database.of(scope.orgId).query({
        name: `session_commands ${direction}`,
        text: `SELECT ${COMMAND_COLUMNS} FROM outbox
                WHERE session_id = $1 AND (generation, agent_id) ${beyond} ($2, $3) AND org_id = $5
                ORDER BY generation ${direction}, agent_id ${direction} LIMIT $4`,
        values: [id, from?.[0] ?? beforeAll.bigint[direction], from?.[1] ?? '', limit + 1, scope.orgId],
      })
      return pageOf(rows, limit, commandFromRow, (row: Row) => cursors.encode(list, [row.generation, row.agent_id]))
    },

    commands: async (scope, filter, { limit, cursor, sort = '-createdAt' }) => {
      const list = listOf('commands', scope.orgId, { ...filter, sort })
      const from = cursors.decode(list, cursor)
      const { beyond, direction } = orderOf(sort)
      const params = parameters()
      const where = [`org_id = ${params.add(scope.orgId)}`]
      if (filter.status !== undefined) {
        where.push(`status = ANY(${params.add(filter.status)}::text[])`)
        // So it is found that the index of what is not settled has them all.
        if (!filter.status.some((status) => status === 'done' || status === 'superseded'))
          where.push(`status NOT IN ('done', 'superseded')`)
      }
      if (filter.agent !== undefined) where.push(`agent_id = ANY(${params.add(filter.agent)}::text[])`)
      if (filter.session !== undefined) where.push(`session_id = ANY(${params.add(filter.session)}::uuid[])`)
      if (from !== null) where.push(`id ${beyond} ${params.add(from[0])}`)
      const { rows } = await database.of(scope.orgId).query({
        text: `SELECT ${COMMAND_COLUMNS} FROM outbox WHERE ${where.join(' AND ')} ORDER BY id ${direction} LIMIT ${params.add(limit + 1)}`,
        values: params.values,
      })
      return pageOf(rows, limit, commandFromRow, (row: Row) => cursors.encode(list, [row.id]))
    },

    touch: async (scope, id, at) => {
      const { rowCount } = await database.of(scope.orgId).query({
        name: 'touch_session',
        // Bounded to once a second: a keep-alive must not turn into a write storm on one row.
        text: `UPDATE sessions SET last_activity_at = $4
                WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL AND ($3::text IS NULL OR user_id = $3)
                  AND (last_activity_at IS NULL OR last_activity_at < $4::timestamptz - interval '1 second')`,
        values: [id, scope.orgId, scope.ownerId, at],
      })
      return rowCount > 0 || (await exists(scope, id))
    },
  }
}
