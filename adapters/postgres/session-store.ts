/** Loads sessions for deciding on them. */
import type { LoadedSession, SessionStore } from '../../domain/ports/sessions.ts'
import type { Database, Row } from './pool.ts'
import { LIVENESS, REACHABLE, SESSION_COLUMNS, sessionFromRow } from './session-row.ts'

export const loadedFromRow = (row: Row): LoadedSession => ({
  session: sessionFromRow(row),
  agentReachable: row.agent_reachable,
})

export const createSessionStore = (
  database: Database,
  settings: { readonly agentSilentAfterMs: number },
): SessionStore => ({
  load: async (scope, id) => {
    const { rows } = await database.of(scope.orgId).query({
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

  pending: async (limit) => {
    const { rows } = await database.query({
      // Without a name, so that it is planned anew each time: a plan from when the table was small would read all of it.
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
