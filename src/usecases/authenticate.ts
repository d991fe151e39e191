/**
 * Who a bearer token is. A key's record is remembered for a second, so that a burst of calls costs one
 * query; a revoked key therefore stops working within a second.
 */
import type { Caller } from '../../domain/identity/caller.ts'
import type { OrgId } from '../../domain/ids.ts'
import type { AccessStore, ApiKeyRecord, Authenticate } from '../../domain/ports/access.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import { API_KEY, KEY_PREFIX_LENGTH, type Tokens } from '../../domain/ports/tokens.ts'

const REMEMBER_MS = 1_000
const REMEMBER_AT_MOST = 10_000

type Remembered = { readonly record: ApiKeyRecord | null; readonly until: number }

export const createAuthenticate = (deps: {
  readonly access: AccessStore
  readonly tokens: Tokens
  readonly clock: Clock
}): Authenticate => {
  const remembered = new Map<string, Remembered>()

  const recordOf = async (key: string): Promise<ApiKeyRecord | null> => {
    const known = remembered.get(key)
    if (known !== undefined && known.until > performance.now()) return known.record
    const candidates = await deps.access.keysByPrefix(key.slice(0, KEY_PREFIX_LENGTH))
    const record = candidates.find((candidate) => deps.tokens.matches(key, candidate.hash)) ?? null
    if (remembered.size >= REMEMBER_AT_MOST) remembered.clear()
    // Unknown keys are not remembered: guessing must not fill the memory, and a new key works at once.
    if (record !== null) remembered.set(key, { record, until: performance.now() + REMEMBER_MS })
    return record
  }

  const callerOf = (record: ApiKeyRecord, orgId: OrgId): Caller => ({
    orgId,
    userId: record.userId,
    role: record.role,
    keyId: record.id,
  })

  return async (bearer, actAs) => {
    if (bearer === null || !API_KEY.test(bearer)) return { kind: 'unauthorized' }
    const record = await recordOf(bearer)
    if (record === null || record.revokedAt !== null) return { kind: 'unauthorized' }
    if (record.expiresAt !== null && record.expiresAt <= deps.clock.now()) return { kind: 'unauthorized' }
    if (actAs === null || actAs === record.orgId) return { kind: 'caller', caller: callerOf(record, record.orgId) }
    if (record.role !== 'installation') return { kind: 'forbidden_org' }
    if (!(await deps.access.orgExists(actAs as OrgId))) return { kind: 'unknown_org' }
    return { kind: 'caller', caller: callerOf(record, actAs as OrgId) }
  }
}
