/** The newest commands of sessions, due again: their resources are not as they were to make them. */
import type { AgentId } from '../../domain/ids.ts'
import type { ReportStore } from '../../domain/ports/reports.ts'
import type { Database } from './pool.ts'

/**
 * The sessions are locked so that what is made due is still their newest command: an intent that is being
 * committed waits, or was committed and its own command is due. One that was done has its time anew, and
 * raises the revision: an intent that waits here has looked for what it supersedes already, and would leave
 * this one pending beside its own command; so it has to decide again.
 *
 * What is due already stays as it is, and no inventory waits for it: a new agent with a backlog of a hundred thousand
 * has none of these sessions yet, and to say so would lock and write each of them once more.
 *
 * What was given up or cancelled stays so, but for a session that is gone: only its deletion removes what an
 * agent still has of it. On an agent's behalf ($2, $3) nothing is made due once its epoch has moved on.
 */
const REDELIVER = `
WITH lease AS MATERIALIZED (
  SELECT agent_id FROM agent_leases WHERE agent_id = $2::text AND epoch = $3::bigint FOR SHARE
),
command AS MATERIALIZED (
  SELECT s.id, o.agent_id, o.status = 'pending' AND o.acked_epoch IS NULL AND o.next_attempt_at IS NULL AS is_due
    FROM sessions s JOIN outbox o ON o.session_id = s.id AND o.generation = s.generation
   WHERE s.id = ANY($1::uuid[]) AND ($2::text IS NULL OR (SELECT count(*) FROM lease) > 0)
),
newest AS MATERIALIZED (
  SELECT id, generation, deleted_at FROM sessions
   WHERE id = ANY(ARRAY(SELECT id FROM command WHERE NOT is_due OR $2::text IS NULL)) ORDER BY id FOR NO KEY UPDATE
),
queued AS MATERIALIZED (
  SELECT id, session_id, status FROM outbox
   WHERE id IN (SELECT o.id FROM newest JOIN outbox o ON o.session_id = newest.id AND o.generation = newest.generation
                 WHERE o.status IN ('pending', 'done', 'superseded') OR newest.deleted_at IS NOT NULL)
     AND status IN ('pending', 'done', 'superseded', 'dead', 'cancelled')
     AND (status <> 'pending' OR acked_epoch IS NOT NULL OR next_attempt_at IS NOT NULL)
   ORDER BY id FOR NO KEY UPDATE
),
raised AS (
  UPDATE sessions s SET revision = s.revision + 1 FROM queued WHERE s.id = queued.session_id AND queued.status <> 'pending'
),
made_due AS (
  UPDATE outbox o
     SET status = 'pending', finished_at = NULL, acked_epoch = NULL,
         -- A repair that was never sent waits as its restart policy says.
         next_attempt_at = CASE WHEN o.status = 'pending' AND o.payload ? 'repair' AND o.sent_at IS NULL
                                THEN o.next_attempt_at END,
         expires_at = CASE WHEN o.status = 'pending' THEN o.expires_at ELSE now() + (o.expires_at - o.created_at) END,
         unacked = CASE WHEN o.status = 'pending' THEN o.unacked ELSE 0 END,
         failures = CASE WHEN o.status = 'pending' THEN o.failures ELSE 0 END
    FROM queued
   WHERE o.id = queued.id AND o.status = queued.status
  RETURNING o.agent_id
)
SELECT agent_id FROM made_due UNION SELECT agent_id FROM command WHERE is_due`

export const redeliverWith =
  (database: Database): ReportStore['redeliver'] =>
  async (sessionIds, peer) => {
    const { rows } = await database.query({
      name: 'redeliver',
      text: REDELIVER,
      values: [sessionIds, peer?.agentId ?? null, peer?.epoch ?? null],
    })
    return [...new Set(rows.map((row) => row.agent_id as AgentId))]
  }
