/**
 * Many sessions changed in one transaction: found and locked (by id, as everywhere), decided on, written by ONE statement.
 * Whoever reports on one of them meanwhile waits for less than a second. Locks: the org's quota, sessions, then outbox; no
 * agent gives room to what is written here, so none of theirs.
 */
import { E } from '../../domain/fp.ts'
import type { Scope } from '../../domain/identity/caller.ts'
import type { Selection, SessionBatches } from '../../domain/ports/session-batches.ts'
import type { Decision } from '../../domain/session/session.ts'
import { isAnswered, keepWith } from './idempotency.ts'
import type { Queries, Tenants } from './pool.ts'
import { lockQuota } from './quota-asked.ts'
import { matching, parameters } from './session-filters.ts'
import { LIVENESS, REACHABLE, SESSION_COLUMNS } from './session-row.ts'
import { loadedFromRow } from './session-store.ts'

const CHANGE_SESSIONS = `
WITH input AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (
    id uuid, previous_revision bigint, revision bigint, version bigint, desired_state text, generation bigint,
    observed_generation bigint, status text, status_reason text, status_message text, waiting_since timestamptz,
    status_deadline timestamptz, endpoint jsonb, exit_code int, exit_signal text, last_output text,
    updated_at timestamptz, deleted_at timestamptz, events jsonb, command_id uuid, agent_id text, command_type text,
    payload jsonb)
),
changed AS (
  UPDATE sessions s
     SET revision = i.revision, version = i.version, desired_state = i.desired_state, generation = i.generation,
         observed_generation = i.observed_generation, status = i.status, status_reason = i.status_reason,
         status_message = i.status_message, waiting_since = i.waiting_since, status_deadline = i.status_deadline,
         endpoint = i.endpoint, exit_code = i.exit_code, exit_signal = i.exit_signal, last_output = i.last_output,
         updated_at = i.updated_at, deleted_at = i.deleted_at
    FROM input i
   WHERE s.id = i.id AND s.org_id = $2 AND s.revision = i.previous_revision
  RETURNING i.id, i.generation, i.updated_at, i.events, i.command_id, i.agent_id, i.command_type, i.payload
),
event AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT $2, c.id, told.event->>'type', c.generation, told.event->'data', told.event->>'actor', c.updated_at
    FROM changed c CROSS JOIN LATERAL jsonb_array_elements(c.events) WITH ORDINALITY AS told (event, place)
   ORDER BY c.id, told.place
),
older AS MATERIALIZED (
  SELECT o.id FROM outbox o
   WHERE o.id = ANY(ARRAY( -- by their ids: where they are joined, all that the org has pending is read
           SELECT o.id FROM changed c JOIN outbox o ON o.session_id = c.id AND o.generation < c.generation))
     AND o.status = 'pending'
   ORDER BY o.id FOR NO KEY UPDATE
),
superseded AS (
  UPDATE outbox o SET status = 'superseded', finished_at = now(), next_attempt_at = NULL
    FROM older WHERE o.id = older.id AND o.status = 'pending'
),
command AS (
  INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, created_at)
  SELECT c.command_id, $2, c.agent_id, c.id, c.generation, c.command_type, c.payload, c.updated_at
    FROM changed c WHERE c.command_id IS NOT NULL ORDER BY c.id
)
SELECT count(*) AS changed FROM changed`

export const createSessionBatches = (
  database: Tenants,
  settings: { readonly agentSilentAfterMs: number },
): SessionBatches => ({
  change: async (scope, which, limit, decide) => {
    try {
      return await database.of(scope.orgId).transaction(async (query) => {
        await lockQuota(query, scope.orgId)
        const { rows } = await query(selection(scope, which, limit, settings.agentSilentAfterMs))
        const decided = decide(rows.map(loadedFromRow))
        if (E.isLeft(decided)) return decided
        const { decisions, result, kept } = decided.right
        await write(query, scope, decisions)
        if (kept !== undefined) await keepWith(query, kept)
        return E.right(result)
      })
    } catch (error) {
      if (isAnswered(error)) return E.left({ _tag: 'Answered' })
      throw error
    }
  },
})

/**
 * Found first, by whichever index answers the filter, then locked in the order of their ids: what has come to be something
 * else while that waited does not match any more, and is not among them.
 */
const selection = (scope: Scope, which: Selection, limit: number, silentAfterMs: number) => {
  const params = parameters()
  const { from, where, id } = matching(scope, 'filter' in which ? which.filter : {}, params)
  const matches = where.join(' AND ')
  const found =
    'ids' in which
      ? `SELECT unnest(${params.add(which.ids)}::uuid[])`
      : `SELECT ${id} FROM ${from} WHERE ${matches} LIMIT ${params.add(limit + 1)}`
  return {
    text: `WITH found (id) AS MATERIALIZED (${found})
           SELECT ${SESSION_COLUMNS}, ${REACHABLE(params.add(silentAfterMs))} FROM ${from} ${LIVENESS}
            WHERE s.id IN (SELECT id FROM found) AND ${matches}
            ORDER BY s.id FOR NO KEY UPDATE OF s`,
    values: params.values,
  }
}

const write = async (query: Queries['query'], scope: Scope, decisions: readonly Decision[]): Promise<void> => {
  if (decisions.length === 0) return
  const { rows } = await query({
    text: CHANGE_SESSIONS,
    values: [JSON.stringify(decisions.map(inputOf)), scope.orgId],
  })
  if (rows[0].changed !== decisions.length) throw new Error('sessions were changed although they were locked')
}

const inputOf = ({ previous, session, events, command }: Decision) => {
  if (previous === null || session.reservedOn !== previous.reservedOn)
    throw new Error('a batch makes no sessions, and takes no room')
  return {
    id: session.id,
    previous_revision: previous.revision,
    revision: session.revision,
    version: session.version,
    desired_state: session.desiredState,
    generation: session.generation,
    observed_generation: session.observedGeneration,
    status: session.status,
    status_reason: session.statusReason,
    status_message: session.statusMessage,
    waiting_since: session.waitingSince,
    status_deadline: session.statusDeadline,
    endpoint: session.observed.endpoint,
    exit_code: session.observed.exitCode,
    exit_signal: session.observed.exitSignal,
    last_output: session.observed.lastOutput,
    updated_at: session.updatedAt,
    deleted_at: session.deletedAt,
    events: events.map(({ type, data, actor }) => ({ type, data, actor })),
    command_id: command?.commandId ?? null,
    agent_id: command?.agentId ?? null,
    command_type: command?.type ?? null,
    payload: command?.payload ?? null,
  }
}
