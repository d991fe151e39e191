import type { AgentId, ReplicaId, SessionId } from '../../domain/ids.ts'
import type { DutyStore } from '../../domain/ports/duties.ts'
import { MAX_UNACKED } from './outbox.ts'
import type { Database } from './pool.ts'

export const createDutyStore = (database: Database): DutyStore => ({
  endBackOffs: async (limit) => {
    const { rows } = await database.query({
      name: 'end_back_offs',
      text: `UPDATE outbox SET next_attempt_at = NULL
              WHERE id IN (SELECT id FROM outbox WHERE status = 'pending' AND next_attempt_at <= now()
                            ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING agent_id`,
      values: [limit],
    })
    return [...new Set(rows.map((row) => row.agent_id as AgentId))]
  },

  giveUp: async (limit) => {
    const { rows } = await database.query({
      name: 'give_up',
      text: `WITH chosen AS (
               (SELECT id, 'expired' AS fate FROM outbox WHERE status = 'pending' AND expires_at <= now() LIMIT $1)
               UNION ALL
               (SELECT id, 'dead' FROM outbox
                 WHERE status = 'pending' AND acked_epoch IS NULL AND next_attempt_at IS NULL AND unacked >= $2 LIMIT $1)
             ), locked AS (
               SELECT o.id, min(c.fate) AS fate FROM (SELECT id FROM outbox WHERE id IN (SELECT id FROM chosen) FOR UPDATE SKIP LOCKED) o
                 JOIN chosen c USING (id) GROUP BY o.id
             )
             UPDATE outbox o
                SET status = l.fate, finished_at = now(), next_attempt_at = NULL,
                    last_error = CASE l.fate WHEN 'dead' THEN 'sent ' || o.unacked || ' times without an ack'
                                             ELSE 'not delivered before it expired' END
               FROM locked l WHERE o.id = l.id
             RETURNING o.session_id, o.agent_id, o.generation, o.status, o.last_error`,
      values: [limit, MAX_UNACKED],
    })
    return rows.map((row) => ({
      sessionId: row.session_id as SessionId,
      agentId: row.agent_id as AgentId,
      generation: row.generation as number,
      fate: row.status as 'dead' | 'expired',
      error: row.last_error as string,
    }))
  },

  agentsWithDueCommands: async (limit) => {
    const { rows } = await database.query({
      name: 'agents_with_due_commands',
      text: `SELECT l.agent_id FROM agent_leases l
              WHERE l.replica_id IS NOT NULL
                AND EXISTS (SELECT 1 FROM outbox o
                             WHERE o.agent_id = l.agent_id AND o.status = 'pending' AND o.acked_epoch IS NULL
                               AND o.next_attempt_at IS NULL)
              LIMIT $1`,
      values: [limit],
    })
    return rows.map((row) => row.agent_id as AgentId)
  },

  replicaAlive: async (replicaId, url) => {
    await database.query({
      name: 'replica_alive',
      text: `INSERT INTO replicas (id, url) VALUES ($1, $2)
             ON CONFLICT (id) DO UPDATE SET last_seen_at = now(), url = excluded.url`,
      values: [replicaId, url],
    })
  },

  releaseDeadReplicas: async (silentAfterMs) => {
    const { rows } = await database.query({
      name: 'release_dead_replicas',
      text: `WITH dead AS (
               DELETE FROM replicas WHERE last_seen_at < now() - $1::float8 * interval '1 millisecond' RETURNING id
             ), freed AS (
               UPDATE agent_leases l SET replica_id = NULL, disconnected_at = now()
                WHERE l.replica_id IS NOT NULL
                  AND (l.replica_id IN (SELECT id FROM dead) OR NOT EXISTS (SELECT 1 FROM replicas r WHERE r.id = l.replica_id))
             )
             SELECT id FROM dead`,
      values: [silentAfterMs],
    })
    return rows.map((row) => row.id as ReplicaId)
  },

  replicaGone: async (replicaId) => {
    await database.query({ text: 'DELETE FROM replicas WHERE id = $1', values: [replicaId] })
  },
})
