/**
 * Who a bearer token is. A key's record is remembered for a second, so that a burst of calls costs one
 * query; a revoked key therefore stops working within a second. What orgs there are is remembered as long.
 *
 * What has to be looked up is gathered: those who come at the same moment, be they a thousand with keys that nobody has given out,
 * are one statement on one connection. Nothing is known of them yet that their number could be limited by.
 */
import type { Caller } from '../../domain/identity/caller.ts'
import type { ApiKeyId, OrgId } from '../../domain/ids.ts'
import type { AccessStore, ApiKeyRecord, Authenticate, Authenticated } from '../../domain/ports/access.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import type { VerifyToken } from '../../domain/ports/jwt.ts'
import { API_KEY, KEY_PREFIX_LENGTH, type Tokens } from '../../domain/ports/tokens.ts'
import { createBatch } from '../delivery/batch.ts'

const REMEMBER_MS = 1_000
const REMEMBER_AT_MOST = 10_000
const LOOKUPS_AT_ONCE = 200
/** Far above what looking up keys takes on a database that is well. */
const OVERTAKE_AFTER_MS = 50
const gathered = { minIntervalMs: 0, maxItems: LOOKUPS_AT_ONCE, overtakeAfterMs: OVERTAKE_AFTER_MS }

/** RFC 7515, section 3.1: three parts in base64url. */
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/

type Remembered = { readonly record: ApiKeyRecord | null; readonly until: number }

export type Authentication = Authenticate & {
  /** A key or an org has ended here: who comes next is looked up. On other servers it ends within the second. */
  readonly forget: () => void
}

export const createAuthenticate = (deps: {
  readonly access: Pick<AccessStore, 'keysByPrefix' | 'existingOrgs'>
  readonly tokens: Tokens
  readonly clock: Clock
  /** null: no JWTs are taken. */
  readonly verifyToken: VerifyToken | null
  readonly used?: (keyId: ApiKeyId) => void
  readonly told?: (what: string, why: string) => void
}): Authentication => {
  const remembered = new Map<string, Remembered>()
  /** How often all was forgotten: what was looked up before is not remembered after. */
  let forgotten = 0

  const keys = createBatch<string, readonly ApiKeyRecord[]>(async (prefixes) => {
    const found = await deps.access.keysByPrefix([...new Set(prefixes)])
    const byPrefix = Map.groupBy(found, ({ prefix }) => prefix)
    return prefixes.map((prefix) => byPrefix.get(prefix) ?? [])
  }, gathered)
  const existing = createBatch<OrgId, boolean>(async (orgIds) => {
    const found = await deps.access.existingOrgs([...new Set(orgIds)])
    return orgIds.map((orgId) => found.has(orgId))
  }, gathered)

  const recordOf = async (key: string): Promise<ApiKeyRecord | null> => {
    const known = remembered.get(key)
    if (known !== undefined && known.until > performance.now()) return known.record
    const before = forgotten
    const candidates = await keys.add(key.slice(0, KEY_PREFIX_LENGTH))
    const record = candidates.find((candidate) => deps.tokens.matches(key, candidate.hash)) ?? null
    if (remembered.size >= REMEMBER_AT_MOST) remembered.clear()
    // Unknown keys are not remembered: guessing must not fill the memory, and a new key works at once.
    if (record !== null && before === forgotten) remembered.set(key, { record, until: performance.now() + REMEMBER_MS })
    return record
  }

  const callerOf = (record: ApiKeyRecord): Caller => ({
    orgId: record.orgId,
    userId: record.userId,
    role: record.role,
    keyId: record.id,
  })

  const orgs = new Map<OrgId, number>()
  /** One that is not there is asked for again each time. */
  const orgExists = async (orgId: OrgId): Promise<boolean> => {
    if ((orgs.get(orgId) ?? 0) > performance.now()) return true
    const before = forgotten
    if (!(await existing.add(orgId))) return false
    if (before !== forgotten) return true
    if (orgs.size >= REMEMBER_AT_MOST) orgs.clear()
    orgs.set(orgId, performance.now() + REMEMBER_MS)
    return true
  }

  const byToken = async (verify: VerifyToken, bearer: string, actAs: string | null): Promise<Authenticated> => {
    const token = await verify(bearer)
    if (token.kind !== 'caller') {
      deps.told?.(token.kind === 'refused' ? 'a JWT was refused' : 'a JWT could not be verified', token.why)
      return { kind: token.kind === 'refused' ? 'unauthorized' : 'unavailable' }
    }
    const { orgId, userId, role } = token
    if (!(await orgExists(orgId))) {
      deps.told?.('a JWT was refused', `there is no org ${JSON.stringify(orgId)}`)
      return { kind: 'unauthorized' }
    }
    const caller: Caller = { orgId, userId, role, keyId: null }
    return { kind: actAs === null || actAs === orgId ? 'caller' : 'forbidden_org', caller }
  }

  const forget = (): void => {
    forgotten += 1
    remembered.clear()
    orgs.clear()
  }
  const authenticate: Authenticate = async (bearer, actAs) => {
    if (bearer === null) return { kind: 'unauthorized' }
    if (deps.verifyToken !== null && JWT.test(bearer)) return byToken(deps.verifyToken, bearer, actAs)
    if (!API_KEY.test(bearer)) return { kind: 'unauthorized' }
    const record = await recordOf(bearer)
    if (record === null || record.revokedAt !== null) return { kind: 'unauthorized' }
    if (record.expiresAt !== null && record.expiresAt <= deps.clock.now()) return { kind: 'unauthorized' }
    deps.used?.(record.id)
    const caller = callerOf(record)
    if (actAs === null || actAs === record.orgId) return { kind: 'caller', caller }
    if (record.role !== 'installation') return { kind: 'forbidden_org', caller }
    if (!(await orgExists(actAs as OrgId))) return { kind: 'unknown_org', caller }
    return { kind: 'caller', caller: { ...caller, orgId: actAs as OrgId, comesFrom: record.orgId } }
  }
  return Object.assign(authenticate, { forget })
}
