/**
 * Repairs, written: intents that the server decides because an agent has no more what should run there. Many in ONE
 * statement, as all that a host had may be gone at once, and on the agent's behalf: its lease is locked with its
 * epoch, as for its reports (`reports.ts`). Locks: lease, sessions, outbox; each by id.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { ReportStore } from '../../domain/ports/reports.ts'
import type { Decision } from '../../domain/session/session.ts'
import type { Database } from './pool.ts'

/** A repair starts something: as any start, it is given up after a while. */
const REPAIR = `
WITH input AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($3::jsonb) AS i (
    id uuid, previous_revision bigint, revision bigint, generation bigint, version bigint, desired_state text,
    status text, status_reason text, status_message text, waiting_since timestamptz, status_deadline timestamptz,
    updated_at timestamptz, command_id uuid, agent_id text, type text, payload jsonb,
    delay_ms float8, events jsonb)
),
lease AS MATERIALIZED (
  SELECT agent_id FROM agent_leases WHERE agent_id = $1 AND epoch = $2 FOR SHARE
),
locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = ANY($4::uuid[]) AND (SELECT count(*) FROM lease) > 0 ORDER BY id FOR NO KEY UPDATE
),
repaired AS (
  UPDATE sessions s
     SET generation = i.generation, version = i.version, revision = i.revision, desired_state = i.desired_state,
         status = i.status, status_reason = i.status_reason, status_message = i.status_message,
         waiting_since = i.waiting_since, status_deadline = i.status_deadline, updated_at = i.updated_at,
         endpoint = NULL, exit_code = NULL, exit_signal = NULL, last_output = NULL
    FROM input i JOIN locked USING (id)
   WHERE s.id = i.id AND s.revision = i.previous_revision
  RETURNING s.id, s.org_id, i.generation, i.updated_at, i.command_id, i.agent_id, i.type, i.payload,
            i.delay_ms, i.events
),
told AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT r.org_id, r.id, e.type, r.generation, e.data, e.actor, r.updated_at
    FROM repaired r CROSS JOIN LATERAL jsonb_to_recordset(r.events) AS e (type text, data jsonb, actor text)
),
older AS MATERIALIZED (
  SELECT o.id FROM outbox o
   WHERE o.id IN (SELECT o.id FROM repaired r JOIN outbox o ON o.session_id = r.id AND o.generation < r.generation)
     AND o.status = 'pending'
   ORDER BY o.id FOR NO KEY UPDATE
),
superseded AS (
  UPDATE outbox o SET status = 'superseded', finished_at = now(), next_attempt_at = NULL
    FROM older WHERE o.id = older.id AND o.status = 'pending'
),
command AS (
  INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, expires_at, created_at,
                      next_attempt_at)
  SELECT r.command_id, r.org_id, r.agent_id, r.id, r.generation, r.type, r.payload,
         r.updated_at + $5::float8 * interval '1 millisecond', r.updated_at,
         now() + r.delay_ms * interval '1 millisecond'
    FROM repaired r ORDER BY r.id
)
SELECT (SELECT count(*) FROM lease) AS leases, (SELECT coalesce(jsonb_agg(id), '[]') FROM repaired) AS repaired`

/** The command of a generation is there as long as its session is, and one look into an index finds it. */
const REPAIRS_SO_FAR = `
SELECT o.session_id, (o.payload->>'repair')::int AS count
  FROM unnest($1::uuid[], $2::bigint[]) AS s (id, generation)
  JOIN outbox o ON o.session_id = s.id AND o.generation = s.generation
 WHERE o.payload ? 'repair'`

export const repairsSoFarFrom =
  (database: Database): ReportStore['repairsSoFar'] =>
  async (sessions) => {
    const { rows } = await database.query({
      name: 'repairs_so_far',
      text: REPAIRS_SO_FAR,
      values: [sessions.map(({ id }) => id), sessions.map(({ generation }) => generation)],
    })
    return new Map(rows.map((row) => [row.session_id as SessionId, row.count as number]))
  }

export const repairWith =
  (database: Database, settings: { readonly commandTtlMs: number }): ReportStore['repair'] =>
  async (peer: Peer, repairs: readonly Decision[]) => {
    const rows = repairs.flatMap(rowOf)
    const answer = await database.query({
      name: 'repair_sessions',
      text: REPAIR,
      values: [
        peer.agentId,
        peer.epoch,
        JSON.stringify(rows),
        rows.map(({ id }) => id).toSorted(),
        settings.commandTtlMs,
      ],
    })
    const { leases, repaired } = answer.rows[0]
    return { fenced: leases === 0, repaired: repaired as SessionId[] }
  }

const OUTPACED = `
SELECT s.id FROM sessions s JOIN outbox o ON o.session_id = s.id AND o.generation = s.generation
 WHERE s.id = ANY($1::uuid[])
   AND (o.status = 'superseded' AND s.deleted_at IS NULL OR o.status = 'done' AND s.id = ANY($2::uuid[]))`

export const outpacedIn =
  (database: Database): ReportStore['outpaced'] =>
  async (sessionIds, denied) => {
    const { rows } = await database.query({ name: 'outpaced', text: OUTPACED, values: [sessionIds, denied] })
    return new Set(rows.map((row) => row.id as SessionId))
  }

/**
 * Not every restore shows: the connection that the agent has is always later than it. Where it did show, what was asked
 * since then counts also after another connection, until an operator says that the restore is over: for all, or for the org.
 */
const ASKED_SINCE = `
WITH lease AS MATERIALIZED (
  SELECT agent_id, epoch, connected_at, restored_at FROM agent_leases WHERE agent_id = $1 AND epoch = $2
),
shown AS (
  UPDATE agent_leases l SET restored_at = lease.connected_at
    FROM lease
   WHERE l.agent_id = lease.agent_id AND l.epoch = lease.epoch AND lease.restored_at < lease.connected_at
     AND EXISTS (SELECT FROM sessions s WHERE s.id = ANY($3::uuid[]) AND s.created_at > lease.restored_at)
  RETURNING l.restored_at
),
not_over AS (
  SELECT FROM orphan_removal WHERE halted_at IS NOT NULL
   UNION ALL
  SELECT FROM org_orphan_removal r JOIN agents a ON a.org_id = r.org_id WHERE a.id = $1 AND r.halted_at IS NOT NULL
)
SELECT s.id
  FROM sessions s CROSS JOIN lease
 WHERE s.id = ANY($3::uuid[])
   AND s.waiting_since > least(lease.connected_at, CASE WHEN EXISTS (SELECT FROM not_over)
                                                        THEN COALESCE((SELECT restored_at FROM shown), lease.restored_at) END)`

export const askedSinceIn =
  (database: Database): ReportStore['askedSince'] =>
  async (peer, sessionIds) => {
    const { rows } = await database.query({
      name: 'asked_since',
      text: ASKED_SINCE,
      values: [peer.agentId, peer.epoch, sessionIds],
    })
    return new Set(rows.map((row) => row.id as SessionId))
  }

const rowOf = ({ previous, session, events, command }: Decision) =>
  previous === null || command === null
    ? []
    : [
        {
          id: session.id,
          previous_revision: previous.revision,
          revision: session.revision,
          generation: session.generation,
          version: session.version,
          desired_state: session.desiredState,
          status: session.status,
          status_reason: session.statusReason,
          status_message: session.statusMessage,
          waiting_since: session.waitingSince,
          status_deadline: session.statusDeadline,
          updated_at: session.updatedAt,
          command_id: command.commandId,
          agent_id: command.agentId,
          type: command.type,
          payload: command.payload,
          delay_ms: command.delayMs || null,
          events: events.map((event) => ({ type: event.type, data: event.data, actor: event.actor })),
        },
      ]
