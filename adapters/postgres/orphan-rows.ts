/** The `orphans` row: conditions that several statements share, and the shape read from it. */
import type { AgentEvent, Orphan } from '../../domain/agent/orphan.ts'
import type { AgentId, SessionId } from '../../domain/ids.ts'
import type { Row } from './pool.ts'

/** A session of this very agent has the orphan's id: it is removed by nobody but by that session's own commands. */
export const HAS_A_SESSION_HERE = `
EXISTS (SELECT FROM sessions s WHERE s.id = o.session_id AND (s.agent_id = o.agent_id OR s.reserved_on = o.agent_id))`

/** No command for it is on its way; what had no effect is tried again. */
export const NOT_ON_ITS_WAY = `
NOT EXISTS (SELECT FROM outbox b WHERE b.command_id = o.command_id AND b.status = 'pending')`

/** To be removed now, as far as time goes; `grace` is a parameter in milliseconds. */
export const isDue = (grace: string): string => `
(o.state = 'approved'
  OR (o.state = 'seen' AND o.first_seen_at <= now() - ${grace}::float8 * interval '1 millisecond')
  OR (o.state = 'removing' AND o.removal_begun_at <= now() - ${grace}::float8 * interval '1 millisecond' AND ${NOT_ON_ITS_WAY}))
AND NOT ${HAS_A_SESSION_HERE}`

export const orphanFromRow = (row: Row): Orphan => ({
  sessionId: row.session_id as SessionId,
  agentId: row.agent_id as AgentId,
  generation: row.generation,
  status: row.status,
  reason: row.reason,
  state: row.state,
  firstSeenAt: row.first_seen_at,
  lastSeenAt: row.last_seen_at,
  approvedAt: row.approved_at,
  approvedBy: row.approved_by,
  commandId: row.command_id,
  removalBegunAt: row.removal_begun_at,
  endedAt: row.ended_at,
})

export const agentEventFromRow = (row: Row): AgentEvent => ({
  id: row.id,
  agentId: row.agent_id as AgentId,
  type: row.type,
  at: row.at,
  actor: row.actor,
  data: row.data,
})
