/**
 * Writes what agents reported: many sessions of many agents in ONE statement. Each write counts only under
 * the epoch of the connection that said it, checked on a lease row that is locked FOR SHARE: a plain join
 * on the epoch would let a statement that began before a new connection overwrite what the new one wrote.
 *
 * Locks: leases, quotas (of what is counted anew: migration 011), agents, sessions, outbox; each by id. The `count` conditions on earlier steps are there to
 * make PostgreSQL take them in this order, and nothing is updated that was not locked by such a step.
 *
 * All steps read the snapshot of the statement's beginning, older than what the locks waited for. A row that
 * was found is looked at again in its newest version before it is changed (hence every condition that has
 * to hold then is repeated where the change is), but a row that was not found then is missed.
 */
import type { CommandId, SessionId } from '../../domain/ids.ts'
import type { ReportAnswer } from '../../domain/ports/delivery.ts'
import type { ReportStore, ReportWrite } from '../../domain/ports/reports.ts'
import { changeOf } from '../../domain/quota/amounts.ts'
import type { Decision } from '../../domain/session/session.ts'
import type { Database, Row } from './pool.ts'
import { redeliverWith } from './redeliver.ts'
import { askedSinceIn, outpacedIn, repairsSoFarFrom, repairWith } from './repairs.ts'

const WRITE = `
WITH input AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (
    id uuid, agent_id text, epoch bigint, previous_revision bigint, revision bigint, desired_state text,
    generation bigint, observed_generation bigint, status text, status_reason text, status_message text,
    waiting_since timestamptz, status_deadline timestamptz, incarnation int, reserved_on text, released_from text, reserved_to text,
    endpoint jsonb, namespace text, pod_name text, service_name text, container_id text, node text, image text,
    image_digest text, restarts int, exit_code int, exit_signal text, last_output text, started_at timestamptz,
    updated_at timestamptz, deleted_at timestamptz, version bigint)
),
lease AS MATERIALIZED (
  SELECT agent_id, epoch FROM agent_leases WHERE agent_id = ANY($2::text[]) ORDER BY agent_id FOR SHARE
),
quota AS MATERIALIZED (
  SELECT lock_quota_usage($8::text[]) WHERE cardinality($8::text[]) > 0 AND (SELECT count(*) FROM lease) > 0
),
room AS MATERIALIZED (
  SELECT id FROM agents
   WHERE id = ANY($3::text[]) AND (SELECT count(*) FROM lease) > 0 AND (SELECT count(*) FROM quota) >= 0 ORDER BY id FOR NO KEY UPDATE
),
locked AS MATERIALIZED (
  SELECT id FROM sessions WHERE id = ANY($4::uuid[]) AND (SELECT count(*) FROM room) >= 0 ORDER BY id FOR NO KEY UPDATE
),
written AS (
  UPDATE sessions s
     SET desired_state = i.desired_state, generation = i.generation, observed_generation = i.observed_generation,
         status = i.status, status_reason = i.status_reason, status_message = i.status_message,
         waiting_since = i.waiting_since, status_deadline = i.status_deadline, incarnation = i.incarnation,
         reserved_on = i.reserved_on, endpoint = i.endpoint, namespace = i.namespace, pod_name = i.pod_name, service_name = i.service_name,
         container_id = i.container_id, node = i.node, image = i.image, image_digest = i.image_digest,
         restarts = i.restarts, exit_code = i.exit_code, exit_signal = i.exit_signal, last_output = i.last_output,
         started_at = i.started_at, updated_at = i.updated_at, deleted_at = i.deleted_at, version = i.version,
         revision = i.revision
    FROM input i JOIN lease USING (agent_id, epoch) JOIN locked USING (id)
   WHERE s.id = i.id AND s.revision = i.previous_revision
  RETURNING s.id, s.cpu_millis, s.memory_mib, i.released_from, i.reserved_to
),
moved AS (
  SELECT agent, sum(sessions)::int AS sessions, sum(cpu) AS cpu, sum(memory) AS memory
    FROM (SELECT released_from AS agent, -1 AS sessions, -cpu_millis AS cpu, -memory_mib AS memory FROM written
           UNION ALL
          SELECT reserved_to, 1, cpu_millis, memory_mib FROM written) change
   WHERE agent IS NOT NULL GROUP BY agent
),
counted AS (
  UPDATE agents a
     SET allocated_sessions = a.allocated_sessions + moved.sessions,
         allocated_cpu_millis = a.allocated_cpu_millis + moved.cpu,
         allocated_memory_mib = a.allocated_memory_mib + moved.memory
    FROM moved WHERE a.id = moved.agent
),
told AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT e.org_id, e.session_id, e.type, e.generation, e.data, e.actor, e.at
    FROM jsonb_to_recordset($7::jsonb) AS e (
           session_id uuid, org_id text, type text, generation bigint, data jsonb, actor text, at timestamptz)
   WHERE (e.session_id IN (SELECT id FROM written)) IS TRUE -- hashed, where a join would compare each with each
),
fate AS MATERIALIZED (
  SELECT f.* FROM jsonb_to_recordset($5::jsonb) AS f (
           command_id uuid, agent_id text, epoch bigint, session_id uuid, row_changes boolean, status text, error text,
           retry_in_ms float8)
    JOIN lease USING (agent_id, epoch)
   WHERE NOT f.row_changes OR f.session_id IN (SELECT id FROM written)
),
settled AS MATERIALIZED (
  SELECT d.* FROM jsonb_to_recordset($6::jsonb) AS d (session_id uuid, agent_id text, epoch bigint, up_to bigint)
    JOIN lease USING (agent_id, epoch)
),
queued AS MATERIALIZED (
  SELECT id FROM outbox
   WHERE id IN (SELECT o.id FROM fate f
                  JOIN outbox o ON o.command_id = f.command_id AND o.agent_id = f.agent_id AND o.session_id = f.session_id
                 UNION
                SELECT o.id FROM settled d
                  JOIN outbox o ON o.session_id = d.session_id AND o.agent_id = d.agent_id AND o.generation <= d.up_to)
     AND status = 'pending'
   ORDER BY id FOR NO KEY UPDATE
),
finished AS (
  UPDATE outbox o
     SET status = f.status,
         finished_at = CASE WHEN f.status = 'pending' THEN NULL ELSE now() END,
         last_error = COALESCE(f.error, o.last_error),
         failures = o.failures + CASE WHEN f.status = 'pending' THEN 1 ELSE 0 END,
         next_attempt_at = CASE WHEN f.status = 'pending' THEN now() + f.retry_in_ms * interval '1 millisecond' END,
         acked_epoch = CASE WHEN f.status = 'pending' THEN NULL ELSE o.acked_epoch END,
         sent_at = COALESCE(o.sent_at, now()),
         -- The note of the ack may come after this: by this time it is known for an old one.
         acked_at = CASE WHEN f.status = 'pending' THEN now() ELSE COALESCE(o.acked_at, now()) END,
         attempts = greatest(o.attempts, 1)
    FROM fate f
   WHERE o.command_id = f.command_id AND o.id = ANY(ARRAY(SELECT id FROM queued)) AND o.status = 'pending'
),
converged AS (
  UPDATE outbox o SET status = 'done', finished_at = now(), next_attempt_at = NULL
    FROM settled d
   WHERE o.id = ANY(ARRAY(SELECT id FROM queued)) AND o.session_id = d.session_id AND o.generation <= d.up_to
     AND o.status = 'pending' AND NOT EXISTS (SELECT 1 FROM fate WHERE fate.command_id = o.command_id)
)
SELECT (SELECT coalesce(jsonb_agg(id), '[]') FROM written) AS written,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(agent_id, epoch)), '[]') FROM lease) AS leases`

const ACTIVITY = `
WITH touched AS MATERIALIZED (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[]) WITH ORDINALITY
      AS t (id, agent_id, epoch, at, place)
),
lease AS MATERIALIZED (
  SELECT agent_id, epoch FROM agent_leases WHERE agent_id = ANY($2::text[]) ORDER BY agent_id FOR SHARE
),
locked AS MATERIALIZED (
  SELECT id FROM sessions
   WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND (SELECT count(*) FROM lease) > 0 ORDER BY id FOR NO KEY UPDATE
),
kept AS (
  UPDATE sessions s SET last_activity_at = greatest(s.last_activity_at, least(t.at, now()))
    FROM touched t JOIN lease USING (agent_id, epoch) JOIN locked USING (id)
   WHERE s.id = t.id AND s.agent_id = t.agent_id AND s.deleted_at IS NULL
)
SELECT CASE WHEN lease.agent_id IS NULL THEN 'fenced'
            WHEN s.agent_id IS DISTINCT FROM t.agent_id THEN 'not_yours'
            ELSE 'accepted' END AS answer
  FROM touched t LEFT JOIN lease USING (agent_id, epoch) LEFT JOIN sessions s ON s.id = t.id
 ORDER BY t.place`

export const createReportStore = (database: Database, settings: { readonly commandTtlMs: number }): ReportStore => ({
  write: async (writes) => {
    const { rows } = await database.query({ name: 'write_reports', text: WRITE, values: valuesOf(writes) })
    const written = new Set<string>(rows[0].written)
    const epochs = new Map<string, number>(rows[0].leases)
    const isFenced = (write: ReportWrite) => epochs.get(write.peer.agentId) !== write.peer.epoch
    const changed = writes.filter((write) => write.decision !== null && !isFenced(write))
    return {
      conflicts: new Set(changed.filter((write) => !written.has(write.sessionId)).map((write) => write.sessionId)),
      fenced: new Set(writes.filter(isFenced).map((write) => write.peer.agentId)),
    }
  },

  attempts: async (commandIds) => {
    const { rows } = await database.query({
      name: 'command_attempts',
      text: `SELECT command_id, failures, generation FROM outbox WHERE command_id = ANY($1::uuid[]) AND status = 'pending'`,
      values: [commandIds],
    })
    return rows.map((row) => ({
      commandId: row.command_id as CommandId,
      failures: row.failures as number,
      generation: row.generation as number,
    }))
  },

  repairsSoFar: repairsSoFarFrom(database),
  repair: repairWith(database, settings),

  outpaced: outpacedIn(database),
  askedSince: askedSinceIn(database),

  redeliver: redeliverWith(database),

  activity: async (touched) => {
    const { rows } = await database.query({
      name: 'agent_activity',
      text: ACTIVITY,
      values: [
        touched.map((one) => one.sessionId),
        touched.map((one) => one.peer.agentId),
        touched.map((one) => one.peer.epoch),
        touched.map((one) => one.at),
      ],
    })
    return rows.map((row) => row.answer as ReportAnswer)
  },
})

const valuesOf = (writes: readonly ReportWrite[]): readonly unknown[] => {
  const rows = writes.flatMap((write) => (write.decision === null ? [] : [rowOf(write, write.decision)]))
  const sorted = (ids: Iterable<string | null>) => [...new Set(ids)].filter((id) => id !== null).toSorted()
  return [
    JSON.stringify(rows.map(mentioned)),
    sorted(writes.map((write) => write.peer.agentId)),
    sorted(rows.flatMap((row) => [row.released_from, row.reserved_to])),
    sorted(rows.map((row) => row.id)),
    JSON.stringify(
      writes.flatMap((write) =>
        write.outcomes.map(({ commandId, fate }) => ({
          command_id: commandId,
          agent_id: write.peer.agentId,
          epoch: write.peer.epoch,
          session_id: write.sessionId,
          row_changes: write.decision !== null,
          status: fate.status,
          error: fate.error,
          retry_in_ms: fate.status === 'pending' ? fate.retryInMs : null,
        })),
      ),
    ),
    JSON.stringify(
      writes.flatMap((write) =>
        write.doneUpTo === null
          ? []
          : [
              {
                session_id: write.sessionId,
                agent_id: write.peer.agentId,
                epoch: write.peer.epoch,
                up_to: write.doneUpTo,
              },
            ],
      ),
    ),
    JSON.stringify(writes.flatMap(({ decision }) => (decision === null ? [] : eventsOf(decision)))),
    sorted(
      writes.map(({ decision }) => (decision === null || changeOf(decision) === null ? null : decision.session.orgId)),
    ),
  ]
}

const eventsOf = ({ session, events }: Decision) =>
  events.map((event) => ({
    session_id: session.id,
    org_id: session.orgId,
    type: event.type,
    generation: session.generation,
    data: event.data,
    actor: event.actor,
    at: session.updatedAt,
  }))

/** What is null is left out, which says the same in a third of the text: most of what could be observed never is. */
const mentioned = (row: Row): Row => {
  for (const column in row) if (row[column] === null) row[column] = undefined
  return row
}

const rowOf = (write: ReportWrite, { previous, session }: Decision) => ({
  id: session.id as SessionId,
  agent_id: write.peer.agentId,
  epoch: write.peer.epoch,
  previous_revision: previous?.revision ?? 0,
  revision: session.revision,
  desired_state: session.desiredState,
  generation: session.generation,
  observed_generation: session.observedGeneration,
  status: session.status,
  status_reason: session.statusReason,
  status_message: session.statusMessage,
  waiting_since: session.waitingSince,
  status_deadline: session.statusDeadline,
  incarnation: session.incarnation,
  reserved_on: session.reservedOn,
  released_from: previous !== null && previous.reservedOn !== session.reservedOn ? previous.reservedOn : null,
  reserved_to: previous?.reservedOn !== session.reservedOn ? session.reservedOn : null,
  endpoint: session.observed.endpoint,
  namespace: session.observed.namespace,
  pod_name: session.observed.podName,
  service_name: session.observed.serviceName,
  container_id: session.observed.containerId,
  node: session.observed.node,
  image: session.observed.image,
  image_digest: session.observed.imageDigest,
  restarts: session.observed.restarts,
  exit_code: session.observed.exitCode,
  exit_signal: session.observed.exitSignal,
  last_output: session.observed.lastOutput,
  started_at: session.startedAt,
  updated_at: session.updatedAt,
  deleted_at: session.deletedAt,
  version: session.version,
})
