import type { OrgId } from '../../domain/ids.ts'
import type { Org, OrgStore } from '../../domain/ports/orgs.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { fromMicroseconds, inMicroseconds, orderOf } from './order.ts'
import type { Database, Row } from './pool.ts'

const orgFromRow = (row: Row): Org => ({ id: row.id as OrgId, name: row.name, createdAt: row.created_at })

export const createOrgStore = (database: Database, cursors: Cursors): OrgStore => ({
  list: async ({ limit, cursor, sort = 'id' }) => {
    const list = listOf('orgs', null, { sort })
    const from = cursors.decode(list, cursor)
    const { by, direction, beyond } = orderOf(sort)
    const key = by === 'id' ? 'id' : 'created_at, id'
    const last = by === 'id' ? '$2' : `${fromMicroseconds('$2')}, $3`
    const { rows } = await database.query({
      text: `SELECT id, name, created_at, ${inMicroseconds('created_at')} AS micros FROM orgs
              WHERE deleted_at IS NULL ${from === null ? '' : `AND (${key}) ${beyond} (${last})`}
              ORDER BY ${key.replaceAll(',', ` ${direction},`)} ${direction} LIMIT $1`,
      values: [limit + 1, ...(from ?? [])],
    })
    const keyOf = (row: Row) => (by === 'id' ? [row.id] : [row.micros, row.id])
    return pageOf(rows, limit, orgFromRow, (row: Row) => cursors.encode(list, keyOf(row)))
  },

  get: async (id) => {
    const { rows } = await database.query({
      name: 'get_org',
      text: 'SELECT id, name, created_at FROM orgs WHERE id = $1 AND deleted_at IS NULL',
      values: [id],
    })
    return rows[0] === undefined ? null : orgFromRow(rows[0])
  },

  add: async ({ id, name }) => {
    const { rows } = await database.query({
      text: 'INSERT INTO orgs (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id, name, created_at',
      values: [id, name],
    })
    return rows[0] === undefined ? null : orgFromRow(rows[0])
  },

  remove: (id) =>
    database.transaction(async (query) => {
      const held = await query({
        // What is being added refers to it: that holds the lock below, and must not wait for this one.
        text: 'SELECT FROM orgs WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE',
        values: [id],
      })
      if (held.rowCount === 0) return null
      // New sessions that are being written are waited for, and counted; those that come wait for this (migration 011).
      await query({ text: 'SELECT pg_advisory_xact_lock(730211, hashtext($1))', values: [id] })
      await query({ text: `SELECT FROM quota_usage WHERE org_id = $1 AND scope = 'org' FOR UPDATE`, values: [id] })
      const { rows } = await query({
        text: `SELECT (SELECT count(*) FROM sessions WHERE org_id = $1 AND deleted_at IS NULL) AS sessions,
                      (SELECT count(*) FROM agents WHERE org_id = $1) AS agents`,
        values: [id],
      })
      const { sessions, agents } = rows[0]
      if (sessions + agents === 0) {
        await query({ text: 'UPDATE orgs SET deleted_at = now() WHERE id = $1', values: [id] })
        await query({
          text: 'UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE org_id = $1',
          values: [id],
        })
        // With their secrets.
        await query({ text: 'DELETE FROM webhooks WHERE org_id = $1', values: [id] })
      }
      return { sessions, agents }
    }),
})
