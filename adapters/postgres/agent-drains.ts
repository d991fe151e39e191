import { E } from '../../domain/fp.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { AgentDrains } from '../../domain/ports/agent-drains.ts'
import type { Decision } from '../../domain/session/session.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import type { InsertSettings } from './insert-sessions.ts'
import { beforeAll, type Order, orderOf } from './order.ts'
import { type Database, ownedBy, type Row } from './pool.ts'
import { SESSION_COLUMNS, sessionFromRow } from './session-row.ts'
import { createSessionWriter } from './session-writer.ts'

/** Runs there and may leave: asked for nothing that is tied to this agent. */
const MAY_LEAVE = `s.reserved_on = s.agent_id AND s.desired_state = 'running' AND NOT s.persistent_home
   AND s.placement->>'agentId' IS DISTINCT FROM s.agent_id`

/** $1 the agent, $2 an org (null: all): what the agent has is one range of an index, and no more than it can hold. */
const COUNTS = `
WITH drain AS (
  SELECT d.started_at, d.started_by FROM agent_drains d JOIN agents a ON a.id = d.agent_id
   WHERE d.agent_id = $1 AND ($2::text IS NULL OR a.org_id = $2 OR a.org_id IS NULL)
)
SELECT (SELECT started_at FROM drain) AS started_at, (SELECT started_by FROM drain) AS started_by,
       -- What moves rests here until it is started elsewhere, and needs no room meanwhile.
       count(*) FILTER (WHERE s.reserved_on = $1 OR m.session_id IS NOT NULL) AS remaining,
       count(m.session_id) AS moving,
       count(*) FILTER (WHERE m.session_id IS NULL AND ${MAY_LEAVE}) AS movable
  FROM sessions s
  LEFT JOIN session_moves m ON m.session_id = s.id AND m.generation = s.generation
 WHERE s.agent_id = $1 AND s.deleted_at IS NULL AND ($2::text IS NULL OR s.org_id = $2)`

const pageIn = ({ beyond, direction }: Order): string => `
SELECT ${SESSION_COLUMNS}, m.session_id IS NOT NULL AS moving
  FROM sessions s
  LEFT JOIN session_moves m ON m.session_id = s.id AND m.generation = s.generation
 WHERE s.agent_id = $1 AND s.deleted_at IS NULL AND ($2::text IS NULL OR s.org_id = $2)
   AND s.id ${beyond} $3
 ORDER BY s.id ${direction} LIMIT $4`

export const createAgentDrains = (database: Database, cursors: Cursors, settings: InsertSettings): AgentDrains => {
  /** The intent and what goes with it: both or neither. */
  const together = (decision: Decision, also: (bound: Database) => Promise<unknown>) =>
    database.together(async (bound) => {
      // It ran before: what others have taken of the quota since it was put to rest keeps it from nothing.
      const committed = await createSessionWriter(bound, { ...settings, quotas: 'only' }).change(decision)
      if (E.isRight(committed)) await also(bound)
      return committed
    })

  return {
    begin: async ({ id, orgId }, by, guard = null) => {
      const { rows } = await ownedBy(database, orgId).query({
        text: `WITH agent AS (
                 UPDATE agents a SET cordoned = true,
                        revision = revision + (NOT EXISTS (SELECT FROM agent_drains d WHERE d.agent_id = a.id))::int
                  WHERE id = $1 AND org_id IS NOT DISTINCT FROM $2 AND ($4::bigint[] IS NULL OR revision = ANY($4))
                 RETURNING id, revision),
               drain AS (
                 INSERT INTO agent_drains (agent_id, started_by) SELECT id, $3 FROM agent ON CONFLICT DO NOTHING)
               SELECT revision FROM agent`,
        values: [id, orgId, by, guard],
      })
      return rows[0]?.revision ?? null
    },

    progress: async (orgId, agentId, { limit, cursor, sort = 'id' }) => {
      const list = listOf('drain', orgId, { agentId, sort })
      const from = cursors.decode(list, cursor)
      const order = orderOf(sort)
      const among = ownedBy(database, orgId)
      const [counted, listed] = await Promise.all([
        among.query({ text: COUNTS, values: [agentId, orgId] }),
        among.query({
          text: pageIn(order),
          values: [agentId, orgId, from?.[0] ?? beforeAll.uuid[order.direction], limit + 1],
        }),
      ])
      const [counts] = counted.rows
      return {
        startedAt: counts.started_at,
        startedBy: counts.started_by,
        remaining: counts.remaining,
        moving: counts.moving,
        movable: counts.movable,
        page: pageOf(
          listed.rows,
          limit,
          (row) => ({ session: sessionFromRow(row), moving: row.moving as boolean }),
          (row: Row) => cursors.encode(list, [row.id]),
        ),
      }
    },

    underWay: async (limit) => {
      const { rows } = await database.query({
        text: `SELECT d.agent_id, (SELECT count(*) FROM session_moves m WHERE m.from_agent = d.agent_id) AS moving
                 FROM agent_drains d JOIN agents a ON a.id = d.agent_id AND a.cordoned
                -- Of those that have nothing to move any more there may be many, of one org, and they stay: they come last.
                ORDER BY NOT EXISTS (SELECT FROM sessions s
                                      WHERE s.agent_id = d.agent_id AND s.deleted_at IS NULL AND s.status = 'running' AND ${MAY_LEAVE}),
                         d.started_at LIMIT $1`,
        values: [limit],
      })
      return rows.map((row) => ({ agentId: row.agent_id as AgentId, moving: row.moving as number }))
    },

    leaving: async (agentId, after, limit) => {
      const { rows } = await database.query({
        text: `SELECT ${SESSION_COLUMNS} FROM sessions s
                WHERE s.agent_id = $1 AND s.deleted_at IS NULL AND s.status = 'running' AND ${MAY_LEAVE}
                  AND ($2::uuid IS NULL OR s.id > $2)
                ORDER BY s.id LIMIT $3`,
        values: [agentId, after, limit],
      })
      return rows.map(sessionFromRow)
    },

    moves: async (limit) => {
      const { rows } = await database.query({
        text: `WITH gone AS (
                 DELETE FROM session_moves m
                  WHERE NOT EXISTS (SELECT FROM sessions s WHERE s.id = m.session_id AND s.deleted_at IS NULL))
               SELECT ${SESSION_COLUMNS}, m.generation AS moved_at
                 FROM session_moves m JOIN sessions s ON s.id = m.session_id
                WHERE s.deleted_at IS NULL
                  -- Those with which something is to be done: others must not be in their way.
                  AND (m.generation <> s.generation OR s.status IN ('hibernated', 'failed')
                       OR s.status = 'hibernating' AND s.status_reason = 'queued_for_agent')
                ORDER BY m.begun_at, m.session_id LIMIT $1`,
        values: [limit],
      })
      return rows.map((row) => ({ session: sessionFromRow(row), generation: row.moved_at }))
    },

    leave: (decision) =>
      together(decision, ({ query }) =>
        query({
          text: `INSERT INTO session_moves (session_id, org_id, from_agent, generation) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (session_id) DO UPDATE SET from_agent = excluded.from_agent, generation = excluded.generation, begun_at = now()`,
          values: [decision.session.id, decision.session.orgId, decision.session.agentId, decision.session.generation],
        }),
      ),

    arrive: (decision) =>
      together(decision, ({ query }) =>
        query({ text: 'DELETE FROM session_moves WHERE session_id = $1', values: [decision.session.id] }),
      ),

    forget: async ({ session, generation }) => {
      await database.query({
        text: 'DELETE FROM session_moves WHERE session_id = $1 AND generation = $2',
        values: [session.id, generation],
      })
    },
  }
}
