/** What the statements that write sessions ask of quotas, and how they are refused (`quota_refusals`, migration 011). */
import type { QuotaExceeded } from '../../domain/errors.ts'
import type { Kept } from '../../domain/ports/idempotency.ts'
import { changeOf } from '../../domain/quota/amounts.ts'
import type { Decision } from '../../domain/session/session.ts'
import { byteaOf } from './idempotency.ts'
import type { Queries } from './pool.ts'

export type QuotaRefusal = Omit<QuotaExceeded, '_tag'>

export const quotaExceeded = (refusal: QuotaRefusal): QuotaExceeded => ({ _tag: 'QuotaExceeded', ...refusal })

/**
 * Before agents and sessions are locked by those whose changes are counted (migration 011). No row where the org has no quota: then
 * it is kept from getting its first one meanwhile.
 */
export const lockQuota = async (query: Queries['query'], orgId: string): Promise<void> => {
  await query({ name: 'lock_quota', text: 'SELECT lock_quota_usage(ARRAY[$1::text])', values: [orgId] })
}

/** The same, for who makes a session there: throws (23503) when the org was deleted, and keeps it from being deleted meanwhile. */
export const lockQuotaOfNew = async (query: Queries['query'], orgId: string): Promise<void> => {
  await query({ name: 'lock_quota_of_new', text: 'SELECT lock_quota_usage_of_new(ARRAY[$1::text])', values: [orgId] })
}

/** As a step of the statement that writes them: new sessions, rows of `made`, are counted in those orgs that have a quota. */
export const countNew = (made: string, counted: string): string => `
  INSERT INTO quota_usage AS u (org_id, scope, name, sessions, running, cpu_millis, memory_mib)
  SELECT made.org_id, of.scope, of.name, count(*), count(*) FILTER (WHERE desired_state = 'running'),
         coalesce(sum(cpu_millis) FILTER (WHERE desired_state = 'running'), 0),
         coalesce(sum(memory_mib) FILTER (WHERE desired_state = 'running'), 0)
    FROM ${made} made
   CROSS JOIN LATERAL (VALUES ('org', ''), ('user', user_id), ('template', template_name)) of (scope, name)
   WHERE made.org_id IN (${counted})
   GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (org_id, scope, name) DO UPDATE
     SET sessions = u.sessions + excluded.sessions, running = u.running + excluded.running,
         cpu_millis = u.cpu_millis + excluded.cpu_millis, memory_mib = u.memory_mib + excluded.memory_mib`

const NOTHING = { sessions: 0, running: 0, cpuMillis: 0, memoryMib: 0 }

/** Of one session that changes; null: nothing that is counted does. */
export const askedOfQuotas = (
  decision: Decision,
  kept: Kept | undefined,
  counts: 'within limits' | 'only',
): string | null => {
  const changed = changeOf(decision)
  if (changed === null) return null
  // Nothing is refused then; the quota is locked all the same.
  const change = counts === 'only' ? NOTHING : changed
  const { session } = decision
  return JSON.stringify([
    {
      place: 0,
      id: session.id,
      org_id: session.orgId,
      user_id: session.userId,
      template_name: session.template.name,
      sessions: change.sessions,
      running: change.running,
      cpu_millis: change.cpuMillis,
      memory_mib: change.memoryMib,
      caller: kept?.answer?.caller ?? null,
      key_hash: kept?.answer == null ? null : byteaOf(kept.answer.keyHash),
    },
  ])
}
