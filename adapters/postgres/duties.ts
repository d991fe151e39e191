import type { AgentId, CommandId, ReplicaId, SessionId } from '../../domain/ids.ts'
import type { DutyStore, GivenUp } from '../../domain/ports/duties.ts'
import { MAX_UNACKED } from './outbox.ts'
import type { Database, Row } from './pool.ts'

/** The ack of the send that failed may have been noted meanwhile: it says nothing of the next one. */
export const END_BACK_OFFS = `
WITH over AS MATERIALIZED (
  SELECT id FROM outbox WHERE status = 'pending' AND next_attempt_at <= now()
   ORDER BY next_attempt_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE outbox o SET next_attempt_at = NULL, acked_epoch = NULL
  FROM over WHERE o.id = over.id
RETURNING o.agent_id`

/** What an agent has acked is its own to end: only what has not arrived is given up. */
export const GIVE_UP = `
WITH chosen AS MATERIALIZED (
  (SELECT id FROM outbox WHERE status = 'pending' AND acked_epoch IS NULL AND expires_at <= now()
    ORDER BY expires_at LIMIT $1)
   UNION
  (SELECT id FROM outbox WHERE status = 'pending' AND acked_epoch IS NULL AND unacked > 0 AND unacked >= $2
    ORDER BY unacked DESC LIMIT $1)
),
locked AS MATERIALIZED (
  SELECT id FROM outbox
   WHERE id IN (SELECT id FROM chosen) AND status = 'pending' AND acked_epoch IS NULL
   ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE outbox o
   SET status = CASE WHEN o.unacked >= $2 THEN 'dead' ELSE 'expired' END, finished_at = now(), next_attempt_at = NULL,
       last_error = CASE WHEN o.unacked >= $2 THEN 'sent ' || o.unacked || ' times without an ack'
                         ELSE 'not delivered before it expired' END
  FROM locked
 WHERE o.id = locked.id AND (o.unacked >= $2 OR o.expires_at <= now())
RETURNING o.command_id, o.session_id, o.agent_id, o.generation, o.status, o.last_error`

const GIVEN_UP_OF = `
SELECT o.command_id, o.session_id, o.agent_id, o.generation, o.status, o.last_error
  FROM sessions s
  JOIN outbox o ON o.session_id = s.id AND o.generation = s.generation AND o.agent_id = s.agent_id
 WHERE s.id = ANY($1::uuid[]) AND o.status IN ('dead', 'expired')`

const givenUpFromRow = (row: Row): GivenUp => ({
  commandId: row.command_id as CommandId,
  sessionId: row.session_id as SessionId,
  agentId: row.agent_id as AgentId,
  generation: row.generation,
  fate: row.status,
  error: row.last_error ?? row.status,
})

/**
 * One look into `outbox_due` for each connected agent, however many rows wait for others: the range of `due_commands`
 * (migrations/007), without the function, whose call costs several looks. No other index has the order of both columns.
 */
export const AGENTS_WITH_DUE_COMMANDS = `
SELECT l.agent_id
  FROM agent_leases l
 CROSS JOIN LATERAL (
         SELECT 1 FROM outbox
          WHERE (agent_id, id) > (l.agent_id, 0) AND agent_id <= l.agent_id
            AND status = 'pending' AND acked_epoch IS NULL AND next_attempt_at IS NULL
          ORDER BY agent_id, id LIMIT 1) due
 WHERE l.replica_id IS NOT NULL
 LIMIT $1`

const RELEASE_DEAD_REPLICAS = `
WITH dead AS (
  DELETE FROM replicas WHERE last_seen_at < now() - $1::float8 * interval '1 millisecond' RETURNING id
),
held AS MATERIALIZED (
  SELECT agent_id, replica_id FROM agent_leases
   WHERE replica_id IS NOT NULL
     AND (replica_id IN (SELECT id FROM dead) OR replica_id NOT IN (SELECT id FROM replicas))
   ORDER BY agent_id FOR NO KEY UPDATE
),
freed AS (
  UPDATE agent_leases l SET replica_id = NULL, disconnected_at = now()
    FROM held WHERE l.agent_id = held.agent_id AND l.replica_id = held.replica_id
)
SELECT id FROM dead`

/**
 * What goes through the outbox every second or two has no name, so that it is planned anew each time, for the tables as they are and the
 * limit that is asked: a plan from when there were few rows would go through all of them.
 */
export const createDutyStore = (database: Database): DutyStore => ({
  endBackOffs: async (limit) => {
    const { rows } = await database.query({
      text: END_BACK_OFFS,
      values: [limit],
    })
    return [...new Set(rows.map((row) => row.agent_id as AgentId))]
  },

  giveUp: async (limit) => {
    const { rows } = await database.query({
      text: GIVE_UP,
      values: [limit, MAX_UNACKED],
    })
    return rows.map(givenUpFromRow)
  },

  givenUpOf: async (sessionIds) => {
    const { rows } = await database.query({ name: 'given_up_of', text: GIVEN_UP_OF, values: [sessionIds] })
    return rows.map(givenUpFromRow)
  },

  agentsWithDueCommands: async (limit) => {
    const { rows } = await database.query({
      text: AGENTS_WITH_DUE_COMMANDS,
      values: [limit],
    })
    return rows.map((row) => row.agent_id as AgentId)
  },

  replicaAlive: async (replicaId, url) => {
    const { rows } = await database.query({
      name: 'replica_alive',
      // A row that was made by this statement was never locked or updated: its xmax is 0.
      text: `INSERT INTO replicas (id, url) VALUES ($1, $2)
             ON CONFLICT (id) DO UPDATE SET last_seen_at = now(), url = excluded.url
             RETURNING xmax = 0 AS is_new`,
      values: [replicaId, url],
    })
    return rows[0].is_new ? 'unknown' : 'known'
  },

  releaseDeadReplicas: async (silentAfterMs) => {
    const { rows } = await database.query({
      name: 'release_dead_replicas',
      text: RELEASE_DEAD_REPLICAS,
      values: [silentAfterMs],
    })
    return rows.map((row) => row.id as ReplicaId)
  },

  replicaIds: async () => {
    const { rows } = await database.query({ name: 'replica_ids', text: 'SELECT id FROM replicas' })
    return rows.map((row) => row.id as ReplicaId)
  },

  replicaGone: async (replicaId) => {
    await database.query({ text: 'DELETE FROM replicas WHERE id = $1', values: [replicaId] })
  },
})
