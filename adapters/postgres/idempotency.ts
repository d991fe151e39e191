/** The first answers to mutations that came with an Idempotency-Key. */
import type { OrgId } from '../../domain/ids.ts'
import { ANSWERS_KEPT_MS, type IdempotencyStore, type Kept, type KeptRequest } from '../../domain/ports/idempotency.ts'
import { auditWith } from './audit.ts'
import type { Database, Queries, Tenants } from './pool.ts'

const KEPT_FOR = `interval '${ANSWERS_KEPT_MS} milliseconds'`

const FIND = `
SELECT fingerprint, status, location, body, sealed, created_at <= now() - ${KEPT_FOR} AS is_over FROM idempotency_keys
 WHERE org_id = $1 AND caller = $2 AND key_hash = $3`

const KEEP = `
INSERT INTO idempotency_keys (org_id, caller, key_hash, fingerprint, status, location, body, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

const valuesOf = (kept: KeptRequest): readonly unknown[] => [
  kept.orgId,
  kept.caller,
  byteaOf(kept.keyHash),
  byteaOf(kept.fingerprint),
  kept.status,
  kept.location,
  typeof kept.body === 'string' ? Buffer.from(kept.body) : kept.body,
  Buffer.isBuffer(kept.body),
]

/** As `bytea` reads hex. */
export const byteaOf = (hex: string): string => `\\x${hex}`

/** Of a session: written by the statement that makes the change. None of them shows anything once. */
export const answerInput = ({ caller, keyHash, fingerprint, status, location, body }: KeptRequest) => {
  if (Buffer.isBuffer(body)) throw new Error('the answer of a session is not sealed')
  return {
    caller,
    key_hash: byteaOf(keyHash),
    fingerprint: byteaOf(fingerprint),
    answer_status: status,
    answer_location: location,
    answer_body: body,
  }
}

export const createIdempotencyStore = (database: Database): IdempotencyStore => ({
  find: async (orgId, caller, keyHash) => {
    const values = [orgId, caller, byteaOf(keyHash)]
    const { rows } = await database.of(orgId).query({ name: 'find_answer', text: FIND, values })
    const [row] = rows
    if (row === undefined) return null
    if (row.is_over) {
      // It would be in the way of the new one.
      await database.query({
        text: `DELETE FROM idempotency_keys WHERE org_id = $1 AND caller = $2 AND key_hash = $3 AND created_at <= now() - ${KEPT_FOR}`,
        values,
      })
      return null
    }
    const { fingerprint, status, location, body, sealed } = row
    return {
      fingerprint: fingerprint.toString('hex'),
      status,
      location,
      body: sealed ? body : (body?.toString('utf8') ?? null),
    }
  },

  keep: async (kept) => {
    const { rowCount } = await database.of(kept.orgId).query({
      name: 'keep_answer',
      text: `${KEEP} ON CONFLICT DO NOTHING`,
      values: valuesOf(kept),
    })
    return rowCount > 0
  },
})

/** Whether an error of PostgreSQL says that the request was answered already: what was done of it again is undone. */
export const isAnswered = (error: unknown): boolean => {
  const { code, constraint } = error as { readonly code?: string; readonly constraint?: string }
  return code === '23505' && constraint === 'idempotency_keys_pkey'
}

/** In whose trails and answers it is written: others can be written by nobody who is not each of them. */
const orgsOf = ({ orgId, audit, elsewhere = [] }: Kept): readonly OrgId[] => [
  ...new Set([orgId, ...[audit, ...elsewhere].flatMap((entry) => entry?.orgId ?? [])]),
]

/** In the transaction of the change, and last in it: others with the same key wait for its end. */
export const keepWith = async (
  query: Queries['query'],
  { audit, parts = [], elsewhere = [], answer }: Kept,
): Promise<void> => {
  if (audit !== null) await auditWith(query, [audit, ...parts, ...elsewhere])
  if (answer !== null) await query({ name: 'keep_answer_with', text: KEEP, values: valuesOf(answer) })
}

/** Orgs for which one statement writes: PostgreSQL looks for the org of each row among all of them. */
const ORGS_AT_ONCE = 250

/** The same, as each of the orgs in whose trails it is told, which may be all there are. */
export const keepAsEach = async (bound: Tenants, { elsewhere = [], ...kept }: Kept): Promise<void> => {
  for (let from = ORGS_AT_ONCE; from < elsewhere.length; from += ORGS_AT_ONCE) {
    const some = elsewhere.slice(from, from + ORGS_AT_ONCE)
    await auditWith(bound.of(some.flatMap(({ orgId }) => orgId ?? [])).query, some)
  }
  const told = { ...kept, elsewhere: elsewhere.slice(0, ORGS_AT_ONCE) }
  await keepWith(bound.of(orgsOf(told)).query, told)
}
