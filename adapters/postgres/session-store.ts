/** Loads sessions for deciding on them. */
import type { SessionId } from '../../domain/ids.ts'
import type { LoadedSession, SessionStore } from '../../domain/ports/sessions.ts'
import type { Database, Row } from './pool.ts'
import { LIVENESS, REACHABLE, SESSION_COLUMNS, sessionFromRow } from './session-row.ts'

const loadedFromRow = (row: Row): LoadedSession => ({
  session: sessionFromRow(row),
  agentReachable: row.agent_reachable,
})

/**
 * What the agent has not seen yet, and will: its command is due. There is nothing to compare, and an agent with a
 * backlog has a hundred thousand of these.
 */
const ON_ITS_WAY = `
  s.observed_generation < s.generation AND s.status IN ('scheduling', 'stopping', 'hibernating')
  AND EXISTS (SELECT 1 FROM outbox o
               WHERE o.session_id = s.id AND o.generation = s.generation AND o.agent_id = s.agent_id
                 AND o.status = 'pending' AND o.acked_epoch IS NULL AND o.next_attempt_at IS NULL)`

export const createSessionStore = (
  database: Database,
  settings: { readonly agentSilentAfterMs: number },
): SessionStore => ({
  load: async (scope, id) => {
    const { rows } = await database.query({
      name: 'load_session',
      text: `SELECT ${SESSION_COLUMNS}, ${REACHABLE('$4')} FROM sessions s ${LIVENESS}
              WHERE s.id = $1 AND s.org_id = $2 AND s.deleted_at IS NULL AND ($3::text IS NULL OR s.user_id = $3)`,
      values: [id, scope.orgId, scope.ownerId, settings.agentSilentAfterMs],
    })
    return rows[0] === undefined ? null : loadedFromRow(rows[0])
  },

  loadMany: async (ids) => {
    const { rows } = await database.query({
      name: 'load_sessions',
      text: `SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.id = ANY($1::uuid[])`,
      values: [ids],
    })
    return rows.map(sessionFromRow)
  },

  ofAgent: async (agentId, mentioned, asTold = new Set<SessionId>()) => {
    const { rows } = await database.query({
      name: 'sessions_of_agent',
      text: `SELECT ${SESSION_COLUMNS} FROM sessions s
              WHERE s.agent_id = $1 AND s.deleted_at IS NULL AND NOT (${ON_ITS_WAY} AND s.id NOT IN (SELECT unnest($2::uuid[])))
                AND s.id NOT IN (SELECT unnest($3::uuid[]))
              UNION ALL
             SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.reserved_on = $1 AND s.deleted_at IS NOT NULL
              UNION ALL
             SELECT ${SESSION_COLUMNS} FROM sessions s
              WHERE s.id = ANY($2::uuid[])
                -- A mentioned session is usually the agent's own: not all of these wide rows twice.
                AND (s.agent_id IS DISTINCT FROM $1 OR s.deleted_at IS NOT NULL)
                AND (s.reserved_on IS DISTINCT FROM $1 OR s.deleted_at IS NULL)`,
      values: [agentId, mentioned.filter((id) => !asTold.has(id)), [...asTold]],
    })
    return rows.map(sessionFromRow)
  },

  pending: async (limit) => {
    const { rows } = await database.query({
      name: 'pending_sessions',
      // Oldest first, and fair: the n-th oldest of each org comes before any org's (n+1)-th.
      text: `SELECT * FROM (
               SELECT ${SESSION_COLUMNS}, row_number() OVER (PARTITION BY s.org_id ORDER BY s.waiting_since, s.id) AS turn
                 FROM sessions s WHERE s.status = 'pending' AND s.deleted_at IS NULL) s
              ORDER BY turn, waiting_since LIMIT $1`,
      values: [limit],
    })
    return rows.map(sessionFromRow)
  },

  overdue: async (at, limit) => {
    const { rows } = await database.query({
      name: 'overdue_sessions',
      text: `SELECT ${SESSION_COLUMNS}, ${REACHABLE('$3')} FROM sessions s ${LIVENESS}
              WHERE s.status_deadline <= $1 AND s.deleted_at IS NULL
              ORDER BY s.status_deadline LIMIT $2`,
      values: [at, limit, settings.agentSilentAfterMs],
    })
    return rows.map(loadedFromRow)
  },
})
