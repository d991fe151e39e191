/** Commands as an operator deals with them: read one by one, sent again, cancelled. */
import { E } from '../../domain/fp.ts'
import type { CommandChange } from '../../domain/outbox/intervene.ts'
import type { CommandStore } from '../../domain/ports/commands.ts'
import type { CommitConflict } from '../../domain/ports/unit-of-work.ts'
import { COMMAND_COLUMNS, commandFromRow } from './history-rows.ts'
import type { Tenants } from './pool.ts'
import { RESERVE_ROOM } from './reserve-room.ts'
import { CONFLICTING, codeOf } from './session-writer.ts'

const GET = `
SELECT ${COMMAND_COLUMNS} FROM outbox o
 WHERE o.command_id = $1 AND o.org_id = $2
   AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = o.session_id AND s.user_id = $3))`

/**
 * Locks: agents, sessions, outbox. A command that has another status by now (its result came, it was given up, a
 * newer intent superseded it) undoes what was taken and changed before it was reached.
 *
 * Where it is the command of a drain, the rest is the operator's wish from then on, or has failed by it: nothing starts the session
 * elsewhere any more, however soon its agent answers. One that rests already is only told no more, and goes on.
 */
const CHANGE_COMMAND = `
WITH reserved AS (${RESERVE_ROOM}),
session AS (
  UPDATE sessions
     SET status = $6, status_reason = $7, status_message = $8, waiting_since = $9, status_deadline = $10,
         reserved_on = $11, endpoint = $12::jsonb, exit_code = $13, exit_signal = $14, last_output = $15,
         updated_at = $16, revision = $17
   WHERE id = $1 AND org_id = $26 AND revision = $2 AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM reserved))
  RETURNING id, org_id, generation
),
command AS (
  UPDATE outbox o
     SET status = $20, revision = o.revision + 1,
         finished_at = CASE WHEN $20 = 'pending' THEN NULL ELSE now() END,
         expires_at = CASE WHEN $20 = 'pending' AND o.expires_at IS NOT NULL
                           THEN $16::timestamptz + $22::float8 * interval '1 millisecond' ELSE o.expires_at END,
         unacked = CASE WHEN $20 = 'pending' THEN 0 ELSE o.unacked END,
         failures = CASE WHEN $20 = 'pending' THEN 0 ELSE o.failures END,
         next_attempt_at = NULL, acked_epoch = NULL, last_error = COALESCE($21, o.last_error)
    FROM session
   WHERE o.command_id = $18 AND o.session_id = session.id AND o.status = $19 AND o.revision = $27
  RETURNING o.id, o.session_id, o.generation
),
move AS (
  DELETE FROM session_moves m USING command
   WHERE m.session_id = command.session_id AND m.generation = command.generation AND ($20 = 'pending' OR $6 = 'failed')
),
event AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT session.org_id, session.id, told.type, session.generation, told.data, told.actor, $16
    FROM session, unnest($23::text[], $24::jsonb[], $25::text[]) WITH ORDINALITY AS told (type, data, actor, place)
   ORDER BY told.place
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM command) THEN 1
            WHEN EXISTS (SELECT 1 FROM session) OR EXISTS (SELECT 1 FROM reserved) THEN abort_conflicting_commit()
            ELSE 0 END AS committed`

export const createCommandStore = (database: Tenants, settings: { readonly commandTtlMs: number }): CommandStore => ({
  get: async (scope, id) => {
    const { rows } = await database.of(scope.orgId).query({
      name: 'get_command',
      text: GET,
      values: [id, scope.orgId, scope.ownerId],
    })
    return rows[0] === undefined ? null : commandFromRow(rows[0])
  },

  change: async (change) => {
    try {
      const { rows } = await database.of(change.decision.session.orgId).query({
        name: 'change_command',
        text: CHANGE_COMMAND,
        values: valuesOf(change, settings.commandTtlMs),
      })
      return rows[0].committed === 1 ? E.right(undefined) : E.left(refusal(change))
    } catch (error) {
      if (CONFLICTING.has(codeOf(error))) return E.left({ _tag: 'Conflict' })
      throw error
    }
  },
})

/** The agent on which this change takes capacity, or null. */
const reservesOn = ({ decision: { previous, session } }: CommandChange) =>
  session.reservedOn !== previous?.reservedOn ? session.reservedOn : null

/** Nothing was written, and nothing failed: with a reservation asked for, it was that which was not to be had. */
const refusal = (change: CommandChange): CommitConflict => {
  const agentId = reservesOn(change)
  return agentId === null ? { _tag: 'Conflict' } : { _tag: 'NotReserved', agentId }
}

const valuesOf = (change: CommandChange, commandTtlMs: number): readonly unknown[] => {
  const { command, decision } = change
  const { previous, session, events } = decision
  return [
    session.id,
    previous?.revision,
    reservesOn(change),
    session.resources.cpuMillis,
    session.resources.memoryMib,
    session.status,
    session.statusReason,
    session.statusMessage,
    session.waitingSince,
    session.statusDeadline,
    session.reservedOn,
    session.observed.endpoint === null ? null : JSON.stringify(session.observed.endpoint),
    session.observed.exitCode,
    session.observed.exitSignal,
    session.observed.lastOutput,
    session.updatedAt,
    session.revision,
    command.id,
    command.status,
    change.becomes,
    change.error,
    commandTtlMs,
    events.map((event) => event.type),
    events.map((event) => JSON.stringify(event.data)),
    events.map((event) => event.actor),
    session.orgId,
    command.revision,
  ]
}
