import type { ApiKeyId, OrgId, UserId } from '../../domain/ids.ts'
import type { AccessStore, ApiKeyRecord } from '../../domain/ports/access.ts'
import type { Database } from './pool.ts'

/** Any constant of ours, other than the one of migrations. */
const FIRST_KEY_LOCK = 7_302_011_903

export const createAccessStore = (database: Database): AccessStore => ({
  keysByPrefix: async (prefixes) => {
    const { rows } = await database.query({
      name: 'keys_by_prefix',
      text: `SELECT k.id, k.org_id, k.user_id, k.role, k.name, k.prefix, k.hash, k.expires_at, k.revoked_at
               FROM api_keys k JOIN orgs o ON o.id = k.org_id WHERE k.prefix = ANY($1::text[]) AND o.deleted_at IS NULL`,
      values: [prefixes],
    })
    return rows.map((row) => ({
      id: row.id as ApiKeyId,
      orgId: row.org_id as OrgId,
      userId: row.user_id as UserId,
      role: row.role,
      name: row.name,
      prefix: row.prefix,
      hash: row.hash,
      expiresAt: row.expires_at,
      revokedAt: row.revoked_at,
    }))
  },

  existingOrgs: async (orgIds) => {
    const { rows } = await database.query({
      name: 'existing_orgs',
      text: 'SELECT id FROM orgs WHERE id = ANY($1::text[]) AND deleted_at IS NULL',
      values: [orgIds],
    })
    return new Set(rows.map(({ id }) => id as OrgId))
  },

  orgExists: async (orgId) => {
    const { rowCount } = await database.query({
      name: 'org_exists',
      text: 'SELECT 1 FROM orgs WHERE id = $1 AND deleted_at IS NULL',
      values: [orgId],
    })
    return rowCount > 0
  },

  addKey: (key: ApiKeyRecord, onlyIf) =>
    database.transaction(async (query) => {
      // Two first starts at once: the second looks again when the first has committed.
      if (onlyIf === 'no_installation_key')
        await query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [FIRST_KEY_LOCK] })
      const { rowCount } = await query({
        text: `WITH org AS (INSERT INTO orgs (id, name) VALUES ($2, $2) ON CONFLICT (id) DO NOTHING)
             INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash, expires_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8
              WHERE $9 = 'always' OR NOT EXISTS (SELECT 1 FROM api_keys WHERE role = 'installation' AND revoked_at IS NULL)`,
        values: [key.id, key.orgId, key.userId, key.role, key.name, key.prefix, key.hash, key.expiresAt, onlyIf],
      })
      return rowCount > 0
    }),

  hasInstallationKey: async () => {
    const { rowCount } = await database.query({
      text: `SELECT 1 FROM api_keys WHERE role = 'installation' AND revoked_at IS NULL LIMIT 1`,
    })
    return rowCount > 0
  },

  revokeInstallationKeys: async () => {
    await database.query({
      text: `UPDATE api_keys SET revoked_at = now() WHERE role = 'installation' AND revoked_at IS NULL`,
    })
  },
})
