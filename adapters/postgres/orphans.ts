/**
 * Orphans as inventories and results tell of them. Locks: lease, orphans, outbox; each by id.
 * Their removal begins in `orphan-removal.ts`, whether there is any is in `orphan-halts.ts`, lists are in `orphan-queries.ts`.
 */
import type { AgentId, CommandId } from '../../domain/ids.ts'
import type { OrphanStore, RemovalResult } from '../../domain/ports/orphans.ts'
import type { Cursors } from './cursor.ts'
import { createOrphanHalts } from './orphan-halts.ts'
import { createOrphanQueries } from './orphan-queries.ts'
import { createOrphanRemoval } from './orphan-removal.ts'
import { HAS_A_SESSION_HERE, isDue } from './orphan-rows.ts'
import type { Database } from './pool.ts'

/** Of one agent at a time: what an agent claims must not fill the database. */
const PRESENT_AT_MOST = 20_000

/** Ids that one event names; the records have all of them. */
const NAMED = 20

const some = (from: string): string =>
  `(SELECT coalesce(jsonb_agg(session_id), '[]') FROM (SELECT session_id FROM ${from} ORDER BY session_id LIMIT ${NAMED}) named)`

/**
 * A whole inventory: what is there is written down or seen again, and what is not there any more has ended. $1 agent,
 * $2 epoch, $3 what was found, $4 entries that are its own sessions, $5 ids that say nothing any more, $6 grace (ms).
 */
const RECORD = `
WITH lease AS MATERIALIZED (
  SELECT agent_id FROM agent_leases WHERE agent_id = $1 AND epoch = $2 FOR SHARE
),
found AS MATERIALIZED (
  SELECT f.* FROM lease CROSS JOIN jsonb_to_recordset($3::jsonb)
      AS f (session_id uuid, generation bigint, status text, reason text)
),
present AS MATERIALIZED (
  SELECT o.id, o.session_id FROM orphans o
   WHERE o.agent_id = (SELECT agent_id FROM lease) AND o.ended_at IS NULL
   ORDER BY o.id FOR NO KEY UPDATE
),
again AS (
  UPDATE orphans o
     SET generation = f.generation, status = f.status, reason = f.reason, last_seen_at = now()
    FROM present p JOIN found f USING (session_id)
   WHERE o.id = p.id AND o.ended_at IS NULL
  RETURNING o.agent_id, o.session_id, o.state, o.first_seen_at, o.command_id, o.removal_begun_at
),
fresh AS (
  INSERT INTO orphans (agent_id, org_id, session_id, generation, status, reason)
  SELECT a.id, a.org_id, f.session_id, f.generation, f.status, f.reason
    FROM lease JOIN agents a ON a.id = lease.agent_id CROSS JOIN found f
   WHERE f.session_id NOT IN (SELECT session_id FROM present)
   LIMIT greatest(0, ${PRESENT_AT_MOST} - (SELECT count(*) FROM present))
  ON CONFLICT (agent_id, session_id) WHERE ended_at IS NULL DO NOTHING
  RETURNING session_id
),
ended AS (
  UPDATE orphans o
     SET ended_at = now(),
         state = CASE WHEN ${HAS_A_SESSION_HERE} THEN 'known' WHEN o.state = 'removing' THEN 'removed' ELSE 'gone' END
    FROM present p
   WHERE o.id = p.id AND o.ended_at IS NULL
     AND p.session_id NOT IN (SELECT session_id FROM found) AND p.session_id <> ALL($5::uuid[])
  RETURNING o.session_id, o.state, o.command_id
),
queued AS MATERIALIZED (
  SELECT id FROM outbox WHERE command_id IN (SELECT command_id FROM ended) AND status = 'pending'
   ORDER BY id FOR NO KEY UPDATE
),
finished AS (
  UPDATE outbox b
     SET status = CASE e.state WHEN 'known' THEN 'cancelled' ELSE 'done' END, finished_at = now(), next_attempt_at = NULL,
         last_error = CASE e.state WHEN 'known' THEN 'a session of this agent has the id by now' ELSE b.last_error END
    FROM ended e
   WHERE b.command_id = e.command_id AND b.id IN (SELECT id FROM queued) AND b.status = 'pending'
),
due AS MATERIALIZED (
  SELECT count(*) AS n FROM again o WHERE ${isDue('$6')}
),
counted AS (
  INSERT INTO orphan_brakes AS b (agent_id, sessions)
  SELECT agent_id, $4::int FROM lease
  ON CONFLICT (agent_id) DO UPDATE
     SET sessions = excluded.sessions,
         held_reason = CASE WHEN (SELECT n FROM due) > 0 THEN b.held_reason END,
         held_at = CASE WHEN (SELECT n FROM due) > 0 THEN b.held_at END
   WHERE b.sessions <> excluded.sessions OR (b.held_at IS NOT NULL AND (SELECT n FROM due) = 0)
),
told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT lease.agent_id, told.type, told.data, 'agent:' || lease.agent_id
    FROM lease CROSS JOIN LATERAL (
      SELECT 'orphans_seen' AS type, (SELECT count(*) FROM fresh) AS n,
             jsonb_build_object('count', (SELECT count(*) FROM fresh), 'sessionIds', ${some('fresh')}) AS data
       UNION ALL
      SELECT 'orphans_ended', (SELECT count(*) FROM ended),
             jsonb_build_object('removed', (SELECT count(*) FROM ended WHERE state = 'removed'),
                                'gone', (SELECT count(*) FROM ended WHERE state = 'gone'),
                                'known', (SELECT count(*) FROM ended WHERE state = 'known'), 'sessionIds', ${some('ended')})) told
   WHERE told.n > 0
)
SELECT now() AS at, (SELECT count(*) FROM lease) AS leases, (SELECT count(*) FROM fresh) AS fresh,
       (SELECT count(*) FROM ended) AS ended, (SELECT n FROM due) AS due`

/** What agents answered to removals: the command's row as any other's, and with it the orphan's. */
const SETTLE = `
WITH lease AS MATERIALIZED (
  SELECT agent_id, epoch FROM agent_leases WHERE agent_id = ANY($2::text[]) ORDER BY agent_id FOR SHARE
),
said AS MATERIALIZED (
  SELECT s.* FROM jsonb_to_recordset($1::jsonb)
      AS s (command_id uuid, agent_id text, epoch bigint, status text, error text, retry_in_ms float8)
    JOIN lease USING (agent_id, epoch)
),
mine AS MATERIALIZED (
  SELECT o.id, s.command_id, s.agent_id, s.status, s.error, s.retry_in_ms
    FROM orphans o JOIN said s ON s.command_id = o.command_id AND s.agent_id = o.agent_id
   ORDER BY o.id FOR NO KEY UPDATE OF o
),
removed AS (
  UPDATE orphans o SET state = 'removed', ended_at = now()
    FROM mine WHERE o.id = mine.id AND o.ended_at IS NULL AND mine.status = 'done'
  RETURNING o.agent_id, o.session_id
),
queued AS MATERIALIZED (
  SELECT id FROM outbox WHERE command_id IN (SELECT command_id FROM mine) AND status = 'pending'
   ORDER BY id FOR NO KEY UPDATE
),
finished AS (
  UPDATE outbox b
     SET status = m.status, finished_at = CASE WHEN m.status = 'pending' THEN NULL ELSE now() END,
         last_error = COALESCE(m.error, b.last_error),
         failures = b.failures + CASE WHEN m.status = 'pending' THEN 1 ELSE 0 END,
         next_attempt_at = CASE WHEN m.status = 'pending' THEN now() + m.retry_in_ms * interval '1 millisecond' END,
         acked_epoch = CASE WHEN m.status = 'pending' THEN NULL ELSE b.acked_epoch END,
         sent_at = COALESCE(b.sent_at, now()),
         acked_at = CASE WHEN m.status = 'pending' THEN now() ELSE COALESCE(b.acked_at, now()) END,
         attempts = greatest(b.attempts, 1)
    FROM mine m
   WHERE b.command_id = m.command_id AND b.id IN (SELECT id FROM queued) AND b.status = 'pending'
),
told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT agent_id, 'orphans_removed', jsonb_build_object('count', count(*), 'sessionIds', jsonb_path_query_array(
           jsonb_agg(session_id ORDER BY session_id), '$[0 to ${NAMED - 1}]')), 'agent:' || agent_id
    FROM removed GROUP BY agent_id
)
SELECT (SELECT coalesce(jsonb_agg(command_id), '[]') FROM mine) AS settled,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(agent_id, epoch)), '[]') FROM lease) AS leases`

export const createOrphanStore = (database: Database, cursors: Cursors): OrphanStore => ({
  record: async (peer, { found, sessions, spokenSince, graceMs }) => {
    const meant = found.filter(({ entry }) => !spokenSince.has(entry.sessionId))
    const { rows } = await database.query({
      name: 'record_orphans',
      text: RECORD,
      values: [
        peer.agentId,
        peer.epoch,
        JSON.stringify(
          meant.map(({ entry, reason }) => ({
            session_id: entry.sessionId,
            generation: entry.generation,
            status: entry.status,
            reason,
          })),
        ),
        sessions,
        [...spokenSince],
        graceMs,
      ],
    })
    const [row] = rows
    if (row.leases === 0) return { kind: 'fenced' }
    return { kind: 'recorded', fresh: row.fresh, ended: row.ended, due: row.due, at: row.at }
  },

  settle: async (results) => {
    const { rows } = await database.query({ name: 'settle_removals', text: SETTLE, values: valuesOf(results) })
    const epochs = new Map<string, number>(rows[0].leases)
    const fenced = results.filter(({ peer }) => epochs.get(peer.agentId) !== peer.epoch)
    return {
      settled: new Set<CommandId>(rows[0].settled),
      fenced: new Set<AgentId>(fenced.map(({ peer }) => peer.agentId)),
    }
  },

  ...createOrphanRemoval(database),
  ...createOrphanHalts(database),
  ...createOrphanQueries(database, cursors),
})

const valuesOf = (results: readonly RemovalResult[]): readonly unknown[] => [
  JSON.stringify(
    results.map(({ peer, commandId, fate }) => ({
      command_id: commandId,
      agent_id: peer.agentId,
      epoch: peer.epoch,
      status: fate.status,
      error: fate.error,
      retry_in_ms: fate.status === 'pending' ? fate.retryInMs : null,
    })),
  ),
  [...new Set(results.map(({ peer }) => peer.agentId))].toSorted(),
]
