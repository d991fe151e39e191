/**
 * Decisions, written: session, events, command and capacity are committed together or not at all. Two statements
 * exist, for new sessions and for a changed one; both are prepared.
 *
 * Locks are taken in the order that everything here keeps: quotas, then agents, then sessions, then outbox.
 */
import { E } from '../../domain/fp.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { Kept } from '../../domain/ports/idempotency.ts'
import {
  type CommitConflict,
  type Creation,
  PoisonedGroupError,
  QuotaHeldError,
  type SessionWriter,
} from '../../domain/ports/unit-of-work.ts'
import type { Decision } from '../../domain/session/session.ts'
import { auditRecord, insertAudit } from './audit.ts'
import { answerInput, isAnswered, keepWith } from './idempotency.ts'
import { type InsertSettings, insertion } from './insert-sessions.ts'
import type { Tenants } from './pool.ts'
import { askedOfQuotas, type QuotaRefusal, quotaExceeded } from './quota-asked.ts'
import { reserveRoom } from './reserve-room.ts'

/** SQLSTATE of `abort_conflicting_commit()`, of an org that was deleted, of a unique violation, and of what PostgreSQL asks to retry. */
export const CONFLICTING = new Set(['SS001', '23503', '23505', '40001', '40P01'])
/** SQLSTATE of a wait for a lock that was cut short. */
const LOCK_NOT_AVAILABLE = '55P03'
/**
 * SQLSTATE of what is about one row of several: a value (data exceptions, violated constraints, a program's limits), or a
 * wait for a lock that was cut short, which the others need not have.
 */
const ABOUT_A_ROW = /^(2[23]|54|57014|55P03)/
/** Of a wait that was cut short. Who waits patiently waits for the quota of one org, which each alone would wait for as long again. */
const WAITED = /^(57014|55P03)$/

export const codeOf = (error: unknown): string => (error as { code?: string }).code ?? ''

export const createSessionWriter = (database: Tenants, settings: InsertSettings): SessionWriter => ({
  insert: async (creations, wait) => {
    try {
      const orgs = creations.map(({ decision }) => decision.session.orgId)
      const { rows } = await database.of(orgs).query(insertion(creations, settings, wait))
      const written = new Map<string, Written>(rows.map((row) => [row.id, row]))
      return creations.map((creation) => outcomeOf(creation, written.get(creation.decision.session.id)))
    } catch (error) {
      if (wait === 'briefly' && codeOf(error) === LOCK_NOT_AVAILABLE) throw new QuotaHeldError(error)
      const isForEach = wait === 'patiently' && WAITED.test(codeOf(error))
      if (creations.length > 1 && ABOUT_A_ROW.test(codeOf(error)) && !isForEach) throw new PoisonedGroupError(error)
      if (CONFLICTING.has(codeOf(error))) return creations.map(() => E.left({ _tag: 'Conflict' }))
      throw error
    }
  },
  change: async (decision, kept) => {
    try {
      const { rows } = await database.of(decision.session.orgId).query(change(decision, kept, settings))
      if (rows[0].committed === 1) return E.right(undefined)
      if (rows[0].refusal !== null) return E.left(quotaExceeded(rows[0].refusal))
      // Nothing was written: with a reservation asked for and no error, it was the reservation that failed.
      const agentId = reservesOn(decision)
      return E.left(agentId === null ? { _tag: 'Conflict' } : { _tag: 'NotReserved', agentId })
    } catch (error) {
      if (isAnswered(error)) return E.left({ _tag: 'Answered' })
      if (CONFLICTING.has(codeOf(error))) return E.left({ _tag: 'Conflict' })
      throw error
    }
  },
  keep: async (kept) => {
    try {
      await database.of(kept.orgId).transaction((query) => keepWith(query, kept))
      return E.right(undefined)
    } catch (error) {
      if (isAnswered(error)) return E.left({ _tag: 'Answered' })
      throw error
    }
  },
})

/** Not new: it was asked before, and is not made again. */
type Written = { readonly is_new: boolean; readonly refusal: QuotaRefusal | null }

/** undefined: there was no room for it. */
const outcomeOf = (creation: Creation, written: Written | undefined): E.Either<CommitConflict, void> => {
  if (written === undefined) return E.left(notReserved(creation))
  if (written.refusal !== null) return E.left(quotaExceeded(written.refusal))
  return written.is_new ? E.right(undefined) : E.left({ _tag: 'Answered' })
}

const notReserved = ({ decision: { session } }: Creation): CommitConflict =>
  session.agentId === null ? { _tag: 'Conflict' } : { _tag: 'NotReserved', agentId: session.agentId }

/** The agent on which this change takes capacity, or null. */
const reservesOn = ({ previous, session }: Decision): AgentId | null =>
  session.reservedOn !== null && session.reservedOn !== (previous?.reservedOn ?? null) ? session.reservedOn : null

const expiryMs = (decision: Decision, settings: InsertSettings): number | null =>
  decision.command?.type === 'start_session' || decision.command?.type === 'wake_session' ? settings.commandTtlMs : null

const CHANGE_SESSION = `
WITH refused AS MATERIALIZED (
  SELECT refusal FROM quota_refusals($45::jsonb)
),
reserved AS (${reserveRoom('NOT EXISTS (SELECT FROM refused)')}),
session AS (
  UPDATE sessions
     SET name = $6, labels = $7::jsonb, idle_timeout_s = $8, max_duration_s = $9, agent_id = $10, platform = $11,
         region = $12, reserved_on = $13, desired_state = $14, generation = $15, observed_generation = $16,
         status = $17, status_reason = $18, status_message = $19, waiting_since = $20, status_deadline = $21,
         incarnation = $22, endpoint = $23::jsonb, exit_code = $24, exit_signal = $25, last_output = $26,
         updated_at = $27, deleted_at = $28, version = $29, revision = $30, refusals = $46::jsonb
   WHERE id = $1 AND org_id = $38 AND revision = $2 AND NOT EXISTS (SELECT FROM refused)
     AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM reserved))
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
),
kept AS (
  INSERT INTO idempotency_keys (org_id, caller, key_hash, fingerprint, status, location, body)
  SELECT org_id, $39, $40, $41, $42, $43, convert_to($44, 'UTF8') FROM session WHERE $40::bytea IS NOT NULL
),
audited AS (${insertAudit('$47::jsonb', 'session')}
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM session) THEN 1
            WHEN EXISTS (SELECT 1 FROM reserved) THEN abort_conflicting_commit()
            ELSE 0 END AS committed,
       (SELECT refusal FROM refused) AS refusal`

const change = (decision: Decision, kept: Kept | undefined, settings: InsertSettings) => {
  const { previous, session, command, events } = decision
  const answer = kept?.answer ? answerInput(kept.answer) : null
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
      session.orgId,
      answer?.caller ?? null,
      answer?.key_hash ?? null,
      answer?.fingerprint ?? null,
      answer?.answer_status ?? null,
      answer?.answer_location ?? null,
      answer?.answer_body ?? null,
      askedOfQuotas(decision, kept, settings.quotas ?? 'within limits'),
      session.refusals.length === 0 ? null : JSON.stringify(session.refusals),
      kept === undefined || kept.audit === null ? null : JSON.stringify(auditRecord(kept.audit)),
    ],
  }
}
