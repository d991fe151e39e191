/**
 * Adoption, written: the orphan is locked, judged and made a session in one transaction, so that a crash leaves
 * either of the two. Locks: quotas, agents, orphans, outbox, and at last the session's row, which nobody can have locked
 * before it exists. It is several statements, as each has to see what those it waited for have committed: a
 * removal that was begun just then is a row of the outbox that the statement before would not find.
 *
 * The lease is not taken: nothing here is said by the agent. What an inventory that was read before this writes
 * after it is about an orphan that has ended, or begins one of which nothing is removed, as a session explains it.
 */
import { E } from '../../domain/fp.ts'
import type { Adoption, AdoptionStore, LockedOrphan } from '../../domain/ports/adoption.ts'
import type { Decision } from '../../domain/session/session.ts'
import { type InsertSettings, inputOf } from './insert-sessions.ts'
import { orphanFromRow } from './orphan-rows.ts'
import { type Database, ownedBy, type Row } from './pool.ts'
import { countNew, lockQuotaOfNew } from './quota-asked.ts'

const LOCK_AGENT = `
SELECT max_sessions, cpu_millis, memory_mib, allocated_sessions, allocated_cpu_millis, allocated_memory_mib
  FROM agents WHERE id = $1 AND org_id IS NOT DISTINCT FROM $2 FOR NO KEY UPDATE`

/** `org_id` too: an agent's id may have been another org's before. */
const LOCK_ORPHAN = `
SELECT * FROM orphans
 WHERE agent_id = $1 AND org_id IS NOT DISTINCT FROM $2 AND session_id = $3 AND ended_at IS NULL
   FOR NO KEY UPDATE`

const LOCK_REMOVAL = 'SELECT status FROM outbox WHERE command_id = $1 FOR NO KEY UPDATE'

const IS_A_SESSION_HERE = 'SELECT FROM sessions WHERE id = $1 AND (agent_id = $2 OR reserved_on = $2)'

/** $1 the row and its event, $2 the orphan, $3 what its agent's history says. */
const ADOPT = `
WITH input AS MATERIALIZED (
  SELECT * FROM jsonb_to_record($1::jsonb) AS i (
    generation bigint, event_type text, event_data jsonb, actor text)
),
session AS (
  INSERT INTO sessions (
    id, org_id, user_id, name, template_id, template_name, template_version, placement, agent_id, platform, region,
    reserved_on, desired_state, generation, observed_generation, status, status_reason, status_message, waiting_since,
    status_deadline, incarnation, labels, parameters, env, spec, secrets, persistent_home, cpu_millis, memory_mib,
    idle_timeout_s, max_duration_s, created_at, updated_at, last_activity_at, version, revision)
  SELECT id, org_id, user_id, name, template_id, template_name, template_version, placement, agent_id, platform, region,
         reserved_on, desired_state, generation, observed_generation, status, status_reason, status_message, waiting_since,
         status_deadline, incarnation, labels, parameters, env, spec, secrets, persistent_home, cpu_millis, memory_mib,
         idle_timeout_s, max_duration_s, created_at, updated_at, last_activity_at, version, revision
    FROM jsonb_populate_record(NULL::sessions, $1::jsonb)
  ON CONFLICT (id) DO NOTHING
  RETURNING id, org_id, user_id, template_name, desired_state, agent_id, reserved_on, cpu_millis, memory_mib, created_at
),
quota AS (${countNew('session', `SELECT org_id FROM quota_usage WHERE scope = 'org'`)}
),
counted AS (
  UPDATE agents a
     SET allocated_sessions = a.allocated_sessions + 1,
         allocated_cpu_millis = a.allocated_cpu_millis + session.cpu_millis,
         allocated_memory_mib = a.allocated_memory_mib + session.memory_mib
    FROM session WHERE a.id = session.reserved_on
),
ended AS (
  UPDATE orphans SET state = 'adopted', ended_at = now() FROM session WHERE orphans.id = $2
),
event AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT session.org_id, session.id, input.event_type, input.generation, input.event_data, input.actor, session.created_at
    FROM session CROSS JOIN input
),
told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT session.agent_id, 'orphan_adopted', $3::jsonb, input.actor FROM session CROSS JOIN input
)
SELECT count(*) AS adopted FROM session`

export const createAdoptionStore = (database: Database, settings: InsertSettings): AdoptionStore => ({
  adopt: (agent, sessionId, judge, secrets, orgId) =>
    ownedBy(database, agent.orgId).transaction(async (query): Promise<Adoption<never>> => {
      await lockQuotaOfNew(query, orgId)
      const [room] = (await query({ name: 'lock_agent', text: LOCK_AGENT, values: [agent.id, agent.orgId] })).rows
      if (room === undefined) return { kind: 'missing' }
      const [row] = (await query({ text: LOCK_ORPHAN, values: [agent.id, agent.orgId, sessionId] })).rows
      if (row === undefined) {
        const known = await query({ text: IS_A_SESSION_HERE, values: [sessionId, agent.id] })
        return { kind: known.rowCount > 0 ? 'is_a_session' : 'missing' }
      }
      const removal =
        row.command_id === null ? null : (await query({ text: LOCK_REMOVAL, values: [row.command_id] })).rows[0]
      const judged = judge(foundIn(row, room, removal))
      if (E.isLeft(judged)) return { kind: 'refused', refusal: judged.left as never }
      const decision = judged.right
      const written = await query({
        text: ADOPT,
        values: [JSON.stringify(rowOf(decision, secrets, settings)), row.id, JSON.stringify(told(decision))],
      })
      return written.rows[0].adopted === 1 ? { kind: 'adopted', decision } : { kind: 'is_a_session' }
    }),
})

const foundIn = (row: Row, room: Row, removal: Row | undefined | null): LockedOrphan => ({
  orphan: orphanFromRow(row),
  removal: removal?.status ?? null,
  capacity:
    room.max_sessions === null
      ? null
      : { maxSessions: room.max_sessions, cpuMillis: room.cpu_millis, memoryMib: room.memory_mib },
  allocated: {
    sessions: room.allocated_sessions,
    cpuMillis: room.allocated_cpu_millis,
    memoryMib: room.allocated_memory_mib,
  },
})

/** What a new session has, and what only this one has from the beginning. */
const rowOf = (decision: Decision, secrets: Parameters<AdoptionStore['adopt']>[3], settings: InsertSettings) => {
  const { session } = decision
  return {
    ...inputOf({ decision, secrets }, 0, settings),
    reserved_on: session.reservedOn,
    generation: session.generation,
    observed_generation: session.observedGeneration,
    incarnation: session.incarnation,
    updated_at: session.updatedAt,
    last_activity_at: session.lastActivityAt,
    version: session.version,
    revision: session.revision,
  }
}

const told = ({ session }: Decision) => ({
  sessionId: session.id,
  generation: session.generation,
  orgId: session.orgId,
  userId: session.userId,
  template: session.template.name,
})
