/** What the statements that write sessions ask of quotas, and how they are refused (`quota_refusals`, migration 011). */
import type { QuotaExceeded } from '../../domain/errors.ts'
import type { Kept } from '../../domain/ports/idempotency.ts'
import { changeOf } from '../../domain/quota/amounts.ts'
import type { Decision } from '../../domain/session/session.ts'

export type QuotaRefusal = Omit<QuotaExceeded, '_tag'>

export const quotaExceeded = (refusal: QuotaRefusal): QuotaExceeded => ({ _tag: 'QuotaExceeded', ...refusal })

/** Of one session that changes; null: nothing that is counted does. */
export const askedOfQuotas = (decision: Decision, kept: Kept | undefined): string | null => {
  const change = changeOf(decision)
  if (change === null) return null
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
      key_hash: kept?.answer == null ? null : `\\x${kept.answer.keyHash.toString('hex')}`,
    },
  ])
}
