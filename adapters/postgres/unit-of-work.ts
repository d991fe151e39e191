/**
 * One decision, one statement: session, events, command and capacity are committed together or not at
 * all. Two statements exist, for a new session and for a changed one; both are prepared.
 *
 * Locks are taken in the order that everything here keeps: agents, then sessions, then outbox.
 */
import { E } from '../../domain/fp.ts'
import type { CommitConflict, SecretEnv, UnitOfWork } from '../../domain/ports/unit-of-work.ts'
import { type Decision, isUnchanged } from '../../domain/session/session.ts'
import type { Database } from './pool.ts'
import { createTurns } from './turns.ts'

export type UnitOfWorkSettings = {
  /** How long a start or wake may wait for its agent, in milliseconds. Stops and deletes never expire. */
  readonly commandTtlMs: number
  readonly seal: (secrets: SecretEnv) => Buffer
}

/** SQLSTATE of `abort_conflicting_commit()`, of a unique violation, and of what PostgreSQL asks to retry. */
const CONFLICTING = new Set(['SS001', '23505', '40001', '40P01'])

export const createUnitOfWork = (database: Database, settings: UnitOfWorkSettings): UnitOfWork => {
  const inTurn = createTurns()
  return {
    commit: async (decision, secrets) => {
      if (isUnchanged(decision)) return E.right(undefined)
      const statement = decision.previous === null ? insertion(decision, secrets, settings) : change(decision, settings)
      try {
        const { rows } = await inTurn(reservesOn(decision), () => database.query(statement))
        if (rows[0].committed === 1) return E.right(undefined)
        return E.left(conflictOf(decision))
      } catch (error) {
        if (CONFLICTING.has((error as { code?: string }).code ?? '')) return E.left({ _tag: 'Conflict' })
        throw error
      }
    },
  }
}

/** The agent on which this decision takes capacity, or null. */
const reservesOn = ({ previous, session }: Decision): string | null =>
  session.reservedOn !== null && session.reservedOn !== (previous?.reservedOn ?? null) ? session.reservedOn : null

/** Nothing was written: with a reservation asked for and no error, it was the reservation that failed. */
const conflictOf = (decision: Decision): CommitConflict =>
  reservesOn(decision) !== null && decision.session.reservedOn !== null
    ? { _tag: 'NotReserved', agentId: decision.session.reservedOn }
    : { _tag: 'Conflict' }

const expiryMs = (decision: Decision, settings: UnitOfWorkSettings): number | null =>
  decision.command?.type === 'start_session' || decision.command?.type === 'wake_session' ? settings.commandTtlMs : null

const RESERVE = (agent: string, cpu: string, memory: string): string => `
  UPDATE agents
     SET allocated_sessions = allocated_sessions + 1,
         allocated_cpu_millis = allocated_cpu_millis + ${cpu},
         allocated_memory_mib = allocated_memory_mib + ${memory}
   WHERE id = ${agent} AND NOT cordoned
     AND allocated_sessions + 1 <= max_sessions
     AND allocated_cpu_millis + ${cpu} <= cpu_millis
     AND allocated_memory_mib + ${memory} <= memory_mib
  RETURNING id`

const INSERT_SESSION = `
WITH reserved AS (${RESERVE('$9::text', '$24::int', '$25::int')}),
session AS (
  INSERT INTO sessions (
    id, org_id, user_id, name, template_id, template_name, template_version, placement, agent_id, platform,
    region, reserved_on, desired_state, generation, observed_generation, status, status_reason,
    status_message, waiting_since, status_deadline, incarnation, labels, parameters, env, spec, secrets,
    persistent_home, cpu_millis, memory_mib, idle_timeout_s, max_duration_s, created_at, updated_at,
    last_activity_at, version, revision)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $9, $12, 1, 0, $13, $14, $15, $16, $17, 0,
         $18::jsonb, $19::jsonb, $20::jsonb, $21::jsonb, $22, $23, $24, $25, $26, $27, $28, $28, $28, 1, 1
   WHERE $9::text IS NULL OR EXISTS (SELECT 1 FROM reserved)
  RETURNING id
),
event AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT $2, $1, $29, 1, $30::jsonb, $31, $28 FROM session
),
command AS (
  INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, expires_at, created_at)
  SELECT $32, $2, $9, $1, 1, $33, $34::jsonb, $28::timestamptz + $35::float8 * interval '1 millisecond', $28
    FROM session WHERE $32::uuid IS NOT NULL
)
SELECT count(*)::int AS committed FROM session`

/** Exported for the benchmark, whose raw floor is this very statement. */
export const insertion = (decision: Decision, secrets: SecretEnv | undefined, settings: UnitOfWorkSettings) => {
  const { session, command, events } = decision
  const [event] = events
  if (event === undefined || events.length > 1) throw new Error('a new session has exactly one event')
  return {
    name: 'insert_session',
    text: INSERT_SESSION,
    values: [
      session.id,
      session.orgId,
      session.userId,
      session.name,
      session.template.id,
      session.template.name,
      session.template.version,
      JSON.stringify(session.placement),
      session.agentId,
      session.platform,
      session.region,
      session.desiredState,
      session.status,
      session.statusReason,
      session.statusMessage,
      session.waitingSince,
      session.statusDeadline,
      JSON.stringify(session.labels),
      JSON.stringify(session.parameters),
      JSON.stringify(session.env),
      JSON.stringify(session.spec),
      secrets === undefined || Object.keys(secrets).length === 0 ? null : settings.seal(secrets),
      session.persistentHome,
      session.resources.cpuMillis,
      session.resources.memoryMib,
      session.idleTimeoutSeconds,
      session.maxDurationSeconds,
      session.createdAt,
      event.type,
      JSON.stringify(event.data),
      event.actor,
      command?.commandId ?? null,
      command?.type ?? null,
      command === null ? null : JSON.stringify(command.payload),
      expiryMs(decision, settings),
    ],
  }
}

const CHANGE_SESSION = `
WITH reserved AS (${RESERVE('$3::text', '$4::int', '$5::int')}),
session AS (
  UPDATE sessions
     SET name = $6, labels = $7::jsonb, idle_timeout_s = $8, max_duration_s = $9, agent_id = $10, platform = $11,
         region = $12, reserved_on = $13, desired_state = $14, generation = $15, observed_generation = $16,
         status = $17, status_reason = $18, status_message = $19, waiting_since = $20, status_deadline = $21,
         incarnation = $22, endpoint = $23::jsonb, exit_code = $24, exit_signal = $25, last_output = $26,
         updated_at = $27, deleted_at = $28, version = $29, revision = $30
   WHERE id = $1 AND revision = $2 AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM reserved))
  RETURNING id, org_id
),
event AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT session.org_id, session.id, told.type, $15, told.data, told.actor, $27
    FROM session, unnest($31::text[], $32::jsonb[], $33::text[]) WITH ORDINALITY AS told (type, data, actor, place)
   ORDER BY told.place
),
superseded AS (
  UPDATE outbox SET status = 'superseded', finished_at = now(), next_attempt_at = NULL
    FROM session
   WHERE outbox.session_id = session.id AND outbox.status = 'pending' AND outbox.generation < $15
),
command AS (
  INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, expires_at, created_at)
  SELECT $34, session.org_id, $10, session.id, $15, $35, $36::jsonb,
         $27::timestamptz + $37::float8 * interval '1 millisecond', $27
    FROM session WHERE $34::uuid IS NOT NULL
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM session) THEN 1
            WHEN EXISTS (SELECT 1 FROM reserved) THEN abort_conflicting_commit()
            ELSE 0 END AS committed`

const change = (decision: Decision, settings: UnitOfWorkSettings) => {
  const { previous, session, command, events } = decision
  return {
    name: 'change_session',
    text: CHANGE_SESSION,
    values: [
      session.id,
      previous?.revision,
      reservesOn(decision),
      session.resources.cpuMillis,
      session.resources.memoryMib,
      session.name,
      JSON.stringify(session.labels),
      session.idleTimeoutSeconds,
      session.maxDurationSeconds,
      session.agentId,
      session.platform,
      session.region,
      session.reservedOn,
      session.desiredState,
      session.generation,
      session.observedGeneration,
      session.status,
      session.statusReason,
      session.statusMessage,
      session.waitingSince,
      session.statusDeadline,
      session.incarnation,
      session.observed.endpoint === null ? null : JSON.stringify(session.observed.endpoint),
      session.observed.exitCode,
      session.observed.exitSignal,
      session.observed.lastOutput,
      session.updatedAt,
      session.deletedAt,
      session.version,
      session.revision,
      events.map((event) => event.type),
      events.map((event) => JSON.stringify(event.data)),
      events.map((event) => event.actor),
      command?.commandId ?? null,
      command?.type ?? null,
      command === null ? null : JSON.stringify(command.payload),
      expiryMs(decision, settings),
    ],
  }
}
