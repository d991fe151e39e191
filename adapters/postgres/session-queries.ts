/** Reads of sessions for the API: each is one indexed query that returns what is shown. */
import type { Scope } from '../../domain/identity/caller.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { SessionFilter, SessionQueries, SessionSort } from '../../domain/ports/sessions.ts'
import { sessionStatuses } from '../../domain/session/words.ts'
import { type Cursors, pageOf } from './cursor.ts'
import { COMMAND_COLUMNS, commandFromRow, eventFromRow } from './history-rows.ts'
import type { Row, Tenants } from './pool.ts'
import { LIVENESS, REACHABLE, VIEW_COLUMNS, viewFromRow } from './session-row.ts'

/** Parameters of a statement that is put together, in the order in which they are mentioned. */
export const parameters = () => {
  const values: unknown[] = []
  return { values, add: (value: unknown): string => `$${values.push(value)}` }
}
type Parameters = ReturnType<typeof parameters>

const GET = `
SELECT ${VIEW_COLUMNS}, ${REACHABLE('$4')}
  FROM sessions s ${LIVENESS}
 WHERE s.id = ANY($1::uuid[]) AND s.org_id = $2 AND s.deleted_at IS NULL AND ($3::text IS NULL OR s.user_id = $3)`

/** Microseconds since 1970: what a cursor carries, exact where a JavaScript Date is not. */
const MICROSECONDS = `(extract(epoch FROM s.created_at) * 1000000)::bigint`
const fromMicroseconds = (parameter: string): string =>
  `timestamptz 'epoch' + ${parameter}::bigint * interval '1 microsecond'`

export const conditions = (scope: Scope, filter: SessionFilter, { add }: Parameters): string[] => {
  const where = [`s.org_id = ${add(scope.orgId)}`, 's.deleted_at IS NULL']
  const isIn = (column: string, values: readonly string[] | undefined) => {
    if (values === undefined) return
    where.push(values.length === 1 ? `${column} = ${add(values[0])}` : `${column} = ANY(${add(values)}::text[])`)
  }
  if (scope.ownerId !== null) where.push(`s.user_id = ${add(scope.ownerId)}`)
  isIn('s.user_id', filter.user)
  isIn('s.status', filter.status)
  isIn('s.template_name', filter.template)
  isIn('s.platform', filter.platform)
  isIn('s.agent_id', filter.agent)
  // Each on its own: the same name asked for with two values matches nothing.
  for (const [name, value] of filter.label ?? [])
    where.push(`EXISTS (SELECT FROM session_labels l
                         WHERE l.session_id = s.id AND l.org_id = s.org_id AND l.name = ${add(name)} AND l.value = ${add(value)})`)
  if (filter.q !== undefined) {
    const beginning = `lower(${add(filter.q)})`
    where.push(
      `s.name_key >= ${beginning} AND s.name_key <= ${beginning} || repeat(chr(${LAST_CHARACTER}), ${NAME_LENGTH})`,
    )
  }
  if (filter.createdAfter !== undefined) where.push(`s.created_at > ${add(filter.createdAfter)}`)
  if (filter.createdBefore !== undefined) where.push(`s.created_at < ${add(filter.createdBefore)}`)
  return where
}

/** What begins so lies between the beginning and this as often as a name has characters: a range, which row level security lets an index answer. */
const LAST_CHARACTER = 0x10ffff
const NAME_LENGTH = 80

const orders: {
  readonly [S in SessionSort]: { key: string; direction: 'ASC' | 'DESC'; beyond: (value: string) => string }
} = {
  '-createdAt': { key: 's.created_at', direction: 'DESC', beyond: fromMicroseconds },
  createdAt: { key: 's.created_at', direction: 'ASC', beyond: fromMicroseconds },
  name: { key: 's.name_key', direction: 'ASC', beyond: (value) => value },
  '-name': { key: 's.name_key', direction: 'DESC', beyond: (value) => value },
}

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
    get: async (scope, ids) => {
      const { rows } = await database.of(scope.orgId).query({
        name: 'get_sessions',
        text: GET,
        values: [ids, scope.orgId, scope.ownerId, settings.agentSilentAfterMs],
      })
      const views = new Map(rows.map((row) => [row.id as string, viewFromRow(row)]))
      return ids.map((id) => views.get(id) ?? null)
    },

    list: async (scope, filter, sort, page) => {
      const list = `sessions:${sort}`
      const from = cursors.decode(list, page.cursor)
      const params = parameters()
      const where = conditions(scope, filter, params)
      const { key, direction, beyond } = orders[sort]
      if (from !== null) {
        const than = direction === 'DESC' ? '<' : '>'
        where.push(`(${key}, s.id) ${than} (${beyond(params.add(from[0]))}, ${params.add(from[1])}::uuid)`)
      }
      const byName = sort === 'name' || sort === '-name'
      const { rows } = await database.of(scope.orgId).query({
        text: `SELECT ${VIEW_COLUMNS}, ${REACHABLE(params.add(settings.agentSilentAfterMs))},
                      ${byName ? 's.name_key' : MICROSECONDS} AS sort_key
                 FROM sessions s ${LIVENESS}
                WHERE ${where.join(' AND ')}
                ORDER BY ${key} ${direction}, s.id ${direction}
                LIMIT ${params.add(page.limit + 1)}`,
        values: params.values,
      })
      return pageOf(rows, page.limit, viewFromRow, (row: Row) => cursors.encode(list, [row.sort_key, row.id]))
    },

    summary: async (scope, filter) => {
      const params = parameters()
      const { rows } = await database.of(scope.orgId).query({
        text: `SELECT s.status, count(*) AS n FROM sessions s WHERE ${conditions(scope, filter, params).join(' AND ')} GROUP BY 1`,
        values: params.values,
      })
      const counts = new Map<string, number>(rows.map((row) => [row.status, row.n]))
      const byStatus = Object.fromEntries(sessionStatuses.map((status) => [status, counts.get(status) ?? 0]))
      return { total: rows.reduce((sum, row) => sum + row.n, 0), byStatus: byStatus as never }
    },

    events: async (scope, id, page) => {
      if (!(await exists(scope, id))) return null
      const list = `events:${id}`
      const from = cursors.decode(list, page.cursor)
      const { rows } = await database.of(scope.orgId).query({
        name: 'session_events',
        text: `SELECT id, session_id, type, generation, at, actor, data FROM session_events
                WHERE session_id = $1 AND id > $2 AND org_id = $4 ORDER BY id LIMIT $3`,
        values: [id, from?.[0] ?? 0, page.limit + 1, scope.orgId],
      })
      return pageOf(rows, page.limit, eventFromRow, (row: Row) => cursors.encode(list, [row.id]))
    },

    commandsOf: async (scope, id, page) => {
      if (!(await exists(scope, id))) return null
      const list = `commands:${id}`
      const from = cursors.decode(list, page.cursor)
      const { rows } = await database.of(scope.orgId).query({
        name: 'session_commands',
        text: `SELECT ${COMMAND_COLUMNS} FROM outbox
                WHERE session_id = $1 AND (generation, agent_id) > ($2, $3) AND org_id = $5
                ORDER BY generation, agent_id LIMIT $4`,
        values: [id, from?.[0] ?? 0, from?.[1] ?? '', page.limit + 1, scope.orgId],
      })
      return pageOf(rows, page.limit, commandFromRow, (row: Row) =>
        cursors.encode(list, [row.generation, row.agent_id]),
      )
    },

    commands: async (scope, filter, page) => {
      const list = 'commands'
      const from = cursors.decode(list, page.cursor)
      const params = parameters()
      const where = [`org_id = ${params.add(scope.orgId)}`]
      if (filter.status !== undefined) where.push(`status = ANY(${params.add(filter.status)}::text[])`)
      if (filter.agent !== undefined) where.push(`agent_id = ANY(${params.add(filter.agent)}::text[])`)
      if (filter.session !== undefined) where.push(`session_id = ANY(${params.add(filter.session)}::uuid[])`)
      if (from !== null) where.push(`id < ${params.add(from[0])}`)
      const { rows } = await database.of(scope.orgId).query({
        text: `SELECT ${COMMAND_COLUMNS} FROM outbox WHERE ${where.join(' AND ')} ORDER BY id DESC LIMIT ${params.add(page.limit + 1)}`,
        values: params.values,
      })
      return pageOf(rows, page.limit, commandFromRow, (row: Row) => cursors.encode(list, [row.id]))
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
