import type { CommandView, SessionEventView } from '../../domain/ports/sessions.ts'
import type { Row } from './pool.ts'

export const eventFromRow = (row: Row): SessionEventView => ({
  id: row.id,
  sessionId: row.session_id,
  type: row.type,
  generation: row.generation,
  at: row.at,
  actor: row.actor,
  data: row.data,
})

export const COMMAND_COLUMNS = `
  id, command_id, session_id, agent_id, type, generation, status, attempts, next_attempt_at, expires_at,
  last_error, created_at, sent_at, acked_at, finished_at, revision`

export const commandFromRow = (row: Row): CommandView => ({
  id: row.command_id,
  sessionId: row.session_id,
  agentId: row.agent_id,
  type: row.type,
  generation: row.generation,
  status: row.status,
  attempts: row.attempts,
  nextAttemptAt: row.next_attempt_at,
  expiresAt: row.expires_at,
  lastError: row.last_error,
  createdAt: row.created_at,
  sentAt: row.sent_at,
  ackedAt: row.acked_at,
  finishedAt: row.finished_at,
  revision: row.revision,
})
