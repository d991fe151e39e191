import { createHash } from 'node:crypto'
import type { OrgId, TemplateId } from '../../domain/ids.ts'
import type { Ids } from '../../domain/ports/clock.ts'
import { isMatch } from '../../domain/ports/if-match.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import { canonicalJson, type Template } from '../../domain/template/template.ts'
import { platformsOf } from '../../domain/template/template-codec.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { beforeAll, fromMicroseconds, inMicroseconds, orderOf } from './order.ts'
import { type Database, ownedBy, type Queries, type Row } from './pool.ts'
import { parameters } from './session-filters.ts'

const COLUMNS = 't.id, t.org_id, t.name, t.version, t.platforms, t.document, t.created_at, t.archived_at'

const templateFromRow = (row: Row): Template => ({
  id: row.id as TemplateId,
  orgId: row.org_id as OrgId | null,
  version: row.version,
  platforms: row.platforms,
  document: row.document,
  createdAt: row.created_at,
  archivedAt: row.archived_at,
})

/** The org's own before the public one of the same name; then the newest version. */
const PREFERRED = 't.org_id NULLS LAST, t.version DESC'

export const createTemplateStore = (database: Database, cursors: Cursors, ids: Ids): TemplateStore => ({
  find: async (orgId, name, version) => {
    const { rows } = await database.of(orgId).query({
      name: 'find_template',
      text: `SELECT ${COLUMNS} FROM templates t
              WHERE (t.org_id = $1 OR t.org_id IS NULL) AND t.name = $2
                AND CASE WHEN $3::int IS NULL THEN t.archived_at IS NULL ELSE t.version = $3 END
              ORDER BY ${PREFERRED} LIMIT 1`,
      values: [orgId, name, version],
    })
    return rows[0] === undefined ? null : templateFromRow(rows[0])
  },

  newest: async (orgId, name) => {
    const { rows } = await ownedBy(database, orgId).query({
      text: `SELECT ${COLUMNS} FROM templates t
              WHERE t.org_id IS NOT DISTINCT FROM $1 AND t.name = $2 AND t.archived_at IS NULL
              ORDER BY t.version DESC LIMIT 1`,
      values: [orgId, name],
    })
    return rows[0] === undefined ? null : templateFromRow(rows[0])
  },

  list: async (orgId, filter, { limit, cursor, sort = 'name' }) => {
    const list = listOf('templates', orgId, { ...filter, sort })
    const from = cursors.decode(list, cursor)
    const { by, direction, beyond } = orderOf(sort)
    const { values, add } = parameters()
    const last = from?.map(add)
    // A name is the same in all versions of a template, the time of its making is not.
    const behindName = by === 'name' && last !== undefined ? `AND t.name ${beyond} ${last[0]}` : ''
    // Two ranges of the index of names in its order, where an OR would be neither.
    const visible = [`t.org_id = ${add(orgId)}`, 't.org_id IS NULL']
      .map((whose) => `SELECT ${COLUMNS} FROM templates t WHERE ${whose} AND t.archived_at IS NULL ${behindName}`)
      .join(' UNION ALL ')
    const where = ['true']
    if (by === 'createdAt' && last !== undefined)
      where.push(`(t.created_at, t.name) ${beyond} (${fromMicroseconds(String(last[0]))}, ${last[1]})`)
    if (filter.platform !== undefined) where.push(`t.platforms && ${add(filter.platform)}::text[]`)
    if (filter.category !== undefined) where.push(`t.document->>'category' = ANY(${add(filter.category)}::text[])`)
    if (filter.tag !== undefined) where.push(`t.document->'tags' ?| ${add(filter.tag)}::text[]`)
    if (filter.q !== undefined)
      where.push(`position(lower(${add(filter.q)}) IN lower(t.name || ' ' || (t.document->>'displayName'))) > 0`)
    const { rows } = await database.of(orgId).query({
      text: `SELECT t.*, ${inMicroseconds('t.created_at')} AS micros
               FROM (SELECT DISTINCT ON (t.name) ${COLUMNS} FROM (${visible}) t ORDER BY t.name ${by === 'name' ? direction : ''}, ${PREFERRED}) t
              WHERE ${where.join(' AND ')}
              ORDER BY ${by === 'name' ? '' : `t.created_at ${direction},`} t.name ${direction} LIMIT ${add(limit + 1)}`,
      values,
    })
    const keyOf = (row: Row) => (by === 'name' ? [row.name] : [row.micros, row.name])
    return pageOf(rows, limit, templateFromRow, (row: Row) => cursors.encode(list, keyOf(row)))
  },

  versions: async (orgId, name, { limit, cursor, sort = '-version' }) => {
    const list = listOf('versions', orgId, { name, sort })
    const from = cursors.decode(list, cursor)
    const { beyond, direction } = orderOf(sort)
    const { rows } = await database.of(orgId).query({
      name: `template_versions ${direction}`,
      text: `SELECT ${COLUMNS} FROM templates t
              WHERE t.name = $2 AND t.version ${beyond} $3
                AND t.org_id IS NOT DISTINCT FROM (
                      SELECT o.org_id FROM templates o WHERE (o.org_id = $1 OR o.org_id IS NULL) AND o.name = $2
                       ORDER BY o.org_id NULLS LAST LIMIT 1)
              ORDER BY t.version ${direction} LIMIT $4`,
      values: [orgId, name, from?.[0] ?? beforeAll.integer[direction], limit + 1],
    })
    if (rows.length === 0 && from === null) return null
    return pageOf(rows, limit, templateFromRow, (row: Row) => cursors.encode(list, [row.version]))
  },

  put: (orgId, document, guard) => {
    const hash = createHash('sha256').update(canonicalJson(document)).digest()
    return ownedBy(database, orgId).transaction(async (query) => {
      await alone(query, orgId, document.name)
      const newest = await query({
        text: `SELECT ${COLUMNS}, t.content_hash FROM templates t
                WHERE t.org_id IS NOT DISTINCT FROM $1 AND t.name = $2 ORDER BY t.version DESC LIMIT 1`,
        values: [orgId, document.name],
      })
      const last = newest.rows[0]
      const isThere = last !== undefined && last.archived_at === null
      if (!isMatch(guard, isThere ? last.version : NOT_THERE)) return null
      if (isThere && hash.equals(last.content_hash)) return { template: templateFromRow(last), created: false }
      const { rows } = await query({
        text: `INSERT INTO templates AS t (id, org_id, name, version, platforms, document, content_hash)
               VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7) RETURNING ${COLUMNS}`,
        values: [
          ids.template(),
          orgId,
          document.name,
          (last?.version ?? 0) + 1,
          platformsOf(document.spec),
          JSON.stringify(document),
          hash,
        ],
      })
      return { template: templateFromRow(rows[0]), created: true }
    })
  },

  isArchived: async (orgId, name) => {
    const { rows } = await ownedBy(database, orgId).query({
      text: `SELECT count(*) AS versions, count(*) FILTER (WHERE archived_at IS NULL) AS current
               FROM templates WHERE org_id IS NOT DISTINCT FROM $1 AND name = $2`,
      values: [orgId, name],
    })
    return rows[0].versions > 0 && rows[0].current === 0
  },

  archive: (orgId, name, guard) =>
    ownedBy(database, orgId).transaction(async (query) => {
      await alone(query, orgId, name)
      const { rows } = await query({
        text: `SELECT max(version) AS newest FROM templates
                WHERE org_id IS NOT DISTINCT FROM $1 AND name = $2 AND archived_at IS NULL`,
        values: [orgId, name],
      })
      if (!isMatch(guard, rows[0].newest ?? NOT_THERE)) return false
      const { rowCount } = await query({
        text: `UPDATE templates SET archived_at = now()
                WHERE org_id IS NOT DISTINCT FROM $1 AND name = $2 AND archived_at IS NULL`,
        values: [orgId, name],
      })
      return rowCount > 0
    }),
})

/** No version has it. */
const NOT_THERE = 0

/** One writer a name at a time: otherwise two of them would number the same version. */
const alone = async (query: Queries['query'], orgId: OrgId | null, name: string): Promise<void> => {
  await query({
    text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))',
    values: [`template:${orgId ?? ''}:${name}`],
  })
}
