import type { ApiKeyId, OrgId, UserId } from '../../domain/ids.ts'
import type { ApiKeyStore, ApiKeyView, NewApiKey } from '../../domain/ports/api-keys.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { beforeAll, orderOf } from './order.ts'
import type { Database, Row } from './pool.ts'

const COLUMNS = 'id, org_id, user_id, role, name, prefix, created_at, expires_at, revoked_at, last_used_at, revision'

const keyFromRow = (row: Row): ApiKeyView => ({
  id: row.id as ApiKeyId,
  orgId: row.org_id as OrgId,
  userId: row.user_id as UserId,
  role: row.role,
  name: row.name,
  prefix: row.prefix,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
  lastUsedAt: row.last_used_at,
  revision: row.revision,
})

const valuesOf = (key: NewApiKey): readonly unknown[] => [
  key.id,
  key.orgId,
  key.userId,
  key.role,
  key.name,
  key.prefix,
  key.hash,
  key.expiresAt,
]

const ADD = `
INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ${COLUMNS}`

/** Of one that works no more nothing is made. An old one that would have ended sooner still does. */
const REPLACE = `
WITH old AS (
  UPDATE api_keys SET expires_at = least(expires_at, now() + $10::float8 * interval '1 second')
   WHERE id = $9 AND org_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
     AND ($11::bigint[] IS NULL OR revision = ANY($11))
  RETURNING id
)
INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash, expires_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8 FROM old RETURNING ${COLUMNS}`

export const createApiKeyStore = (database: Database, cursors: Cursors): ApiKeyStore => ({
  list: async (orgId, { limit, cursor, sort = '-createdAt' }) => {
    const list = listOf('api keys', orgId, { sort })
    const from = cursors.decode(list, cursor)
    const { beyond, direction } = orderOf(sort)
    const { rows } = await database.of(orgId).query({
      name: `list_api_keys ${direction}`,
      text: `SELECT ${COLUMNS} FROM api_keys
              WHERE org_id = $1 AND id ${beyond} $2 ORDER BY id ${direction} LIMIT $3`,
      values: [orgId, from?.[0] ?? beforeAll.uuid[direction], limit + 1],
    })
    return pageOf(rows, limit, keyFromRow, (row: Row) => cursors.encode(list, [row.id]))
  },

  get: async (orgId, id) => {
    const { rows } = await database.of(orgId).query({
      name: 'get_api_key',
      text: `SELECT ${COLUMNS} FROM api_keys WHERE id = $1 AND org_id = $2`,
      values: [id, orgId],
    })
    return rows[0] === undefined ? null : keyFromRow(rows[0])
  },

  add: async (key) => {
    const { rows } = await database.of(key.orgId).query({ text: ADD, values: valuesOf(key) })
    return keyFromRow(rows[0])
  },

  replace: async (orgId, id, key, overlapSeconds, guard = null) => {
    const { rows } = await database
      .of(orgId)
      .query({ text: REPLACE, values: [...valuesOf({ ...key, orgId }), id, overlapSeconds, guard] })
    return rows[0] === undefined ? null : keyFromRow(rows[0])
  },

  revoke: async (orgId, id, guard = null) => {
    const { rowCount } = await database.of(orgId).query({
      text: `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
              WHERE id = $1 AND org_id = $2 AND ($3::bigint[] IS NULL OR revision = ANY($3))`,
      values: [id, orgId, guard],
    })
    return rowCount > 0
  },

  // Of keys of all orgs that were used lately.
  used: async (keys) => {
    await database.query({
      name: 'api_keys_used',
      text: `UPDATE api_keys k SET last_used_at = used.at
               FROM (SELECT id FROM api_keys WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE) locked
               JOIN unnest($1::uuid[], $2::timestamptz[]) AS used (id, at) USING (id)
              WHERE k.id = locked.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)`,
      values: [keys.map(({ id }) => id), keys.map(({ at }) => at)],
    })
  },
})
