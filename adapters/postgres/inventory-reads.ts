/**
 * What inventories are compared with, for many agents in one statement. A server with many agents is told all of their
 * sessions again every other minute, and when they have lost their connections, all at once: rows that nothing follows
 * from are compared where they are, and only their ids leave the database.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry } from '../../domain/ports/delivery.ts'
import type { InventoryBatches } from '../../domain/ports/inventories.ts'
import { reportOf } from '../../domain/session/report.ts'
import type { Database } from './pool.ts'
import { SESSION_COLUMNS, sessionFromRow } from './session-row.ts'

const AS_TOLD = `
SELECT t.agent_id, s.id
  FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::jsonb[], $6::int[])
    AS t (agent_id, id, generation, status, endpoint, restarts)
  JOIN sessions s USING (id)
 WHERE s.agent_id = t.agent_id AND s.deleted_at IS NULL
   AND s.generation = t.generation AND s.observed_generation = t.generation
   AND s.status = t.status AND s.desired_state = t.status
   AND s.reserved_on IS NOT DISTINCT FROM CASE t.status WHEN 'running' THEN t.agent_id END
   AND (t.endpoint IS NULL OR s.endpoint = t.endpoint)
   AND (t.restarts IS NULL OR s.restarts = t.restarts)
   AND NOT EXISTS (SELECT FROM outbox o
                    WHERE o.session_id = s.id AND o.generation <= t.generation AND o.status = 'pending')`

/**
 * What the agent has not seen yet, and will: its command is due. There is nothing to compare, and an agent with a
 * backlog has a hundred thousand of these.
 */
const ON_ITS_WAY = `
  s.observed_generation < s.generation AND s.status IN ('scheduling', 'stopping', 'hibernating')
  AND EXISTS (SELECT 1 FROM outbox o
               WHERE o.session_id = s.id AND o.generation = s.generation AND o.agent_id = s.agent_id
                 AND o.status = 'pending' AND o.acked_epoch IS NULL AND o.next_attempt_at IS NULL)`

/** Lists are taken apart in subqueries that are hashed once, where a join would compare each with each. */
const SESSIONS = `
WITH mentioned AS MATERIALIZED (
  SELECT DISTINCT agent_id, id FROM unnest($2::text[], $3::uuid[]) AS m (agent_id, id)
),
as_told AS MATERIALIZED (
  SELECT agent_id, id FROM unnest($4::text[], $5::uuid[]) AS t (agent_id, id)
)
SELECT s.agent_id AS asked_for, ${SESSION_COLUMNS} FROM sessions s
 WHERE s.agent_id = ANY($1::text[]) AND s.deleted_at IS NULL
   AND NOT (${ON_ITS_WAY} AND (s.agent_id, s.id) NOT IN (SELECT agent_id, id FROM mentioned))
   AND (s.agent_id, s.id) NOT IN (SELECT agent_id, id FROM as_told)
 UNION ALL
SELECT s.reserved_on, ${SESSION_COLUMNS} FROM sessions s
 WHERE s.reserved_on = ANY($1::text[]) AND s.deleted_at IS NOT NULL
 UNION ALL
SELECT m.agent_id, ${SESSION_COLUMNS} FROM mentioned m JOIN sessions s USING (id)
       -- A mentioned session is usually the agent's own: not all of these wide rows twice.
 WHERE (s.agent_id IS DISTINCT FROM m.agent_id OR s.deleted_at IS NOT NULL)
   AND (s.reserved_on IS DISTINCT FROM m.agent_id OR s.deleted_at IS NULL)`

/**
 * Subqueries for a value are looked up each by its index; of `EXISTS` whole tables would be hashed for a handful of agents. Any
 * orphan would do, but where one agent has most of them PostgreSQL expects some for each other anywhere in the table.
 */
const NOT_RECORDED = `
SELECT i.place::int - 1 AS index
  FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS i (agent_id, sessions, place)
 WHERE (SELECT b.sessions FROM orphan_brakes b WHERE b.agent_id = i.agent_id AND b.held_at IS NULL)
       IS DISTINCT FROM i.sessions
    OR (SELECT true FROM orphans o
         WHERE (o.agent_id, o.id) > (i.agent_id, 0) AND o.agent_id <= i.agent_id AND o.ended_at IS NULL
         ORDER BY o.agent_id, o.id LIMIT 1)`

export const createInventoryReads = (database: Database): InventoryBatches => ({
  asTold: async (asked) => {
    const answers = asked.map(() => new Set<SessionId>())
    const plain = asked.flatMap(({ agentId, inventory }) =>
      inventory.filter(isPlain).map((entry) => ({ agentId, ...entry })),
    )
    if (plain.length === 0) return answers
    const { rows } = await database.query({
      name: 'as_told',
      text: AS_TOLD,
      values: [
        plain.map(({ agentId }) => agentId),
        plain.map(({ sessionId }) => sessionId),
        plain.map(({ generation }) => generation),
        plain.map(({ status }) => status),
        plain.map((entry) => {
          const { endpoint } = reportOf(entry.generation, entry).observed
          return endpoint === undefined ? null : JSON.stringify(endpoint)
        }),
        plain.map(({ restarts }) => restarts ?? null),
      ],
    })
    const byAgent = new Map(asked.map(({ agentId }, index) => [agentId as string, answers[index]]))
    for (const row of rows) byAgent.get(row.agent_id)?.add(row.id)
    return answers
  },

  sessions: async (asked) => {
    const pairs = (idsOf: (one: (typeof asked)[number]) => Iterable<SessionId>) =>
      asked.flatMap((one) => [...idsOf(one)].map((id) => ({ agentId: one.agentId, id })))
    const mentioned = pairs((one) => one.mentioned.filter((id) => !one.asTold.has(id)))
    const asTold = pairs((one) => one.asTold)
    const { rows } = await database.query({
      name: 'sessions_of_agents',
      text: SESSIONS,
      values: [
        asked.map(({ agentId }) => agentId),
        mentioned.map(({ agentId }) => agentId),
        mentioned.map(({ id }) => id),
        asTold.map(({ agentId }) => agentId),
        asTold.map(({ id }) => id),
      ],
    })
    const byAgent = Map.groupBy(rows, (row) => row.asked_for as string)
    return asked.map(({ agentId }) => (byAgent.get(agentId) ?? []).map(sessionFromRow))
  },

  isRecorded: async (asked) => {
    const { rows } = await database.query({
      name: 'inventories_not_recorded',
      text: NOT_RECORDED,
      values: [asked.map(({ agentId }) => agentId), asked.map(({ sessions }) => sessions)],
    })
    const not = new Set(rows.map((row) => row.index as number))
    return asked.map((_, index) => !not.has(index))
  },
})

/** Says how it is and where it is reached, and nothing of how it came to be so. */
const isPlain = (entry: InventoryEntry): boolean => {
  const { sessionId: _, generation: __, restarts: ___, status, endpoint, reason, message, ...more } = entry
  return (
    (status === 'running' || status === 'stopped' || status === 'hibernated') &&
    endpoint !== null &&
    (reason ?? null) === null &&
    (message ?? null) === null &&
    Object.values(more).every((value) => value === undefined)
  )
}
