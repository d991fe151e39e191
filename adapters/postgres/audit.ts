/** The audit trail: rows are added and read, and nothing else. */
import type { ApiKeyId, OrgId, UserId } from '../../domain/ids.ts'
import type { AuditEntry, AuditEvent, AuditFilter, AuditScope, AuditStore } from '../../domain/ports/audit.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { fromMicroseconds, inMicroseconds, type Order, orderOf } from './order.ts'
import type { Database, Queries, Row } from './pool.ts'

const NOBODYS = ''

/** As it travels to PostgreSQL, in whose statement it is written. */
export const auditRecord = (entry: AuditEntry) => ({
  org_id: entry.orgId ?? NOBODYS,
  user_id: entry.userId,
  role: entry.role,
  key_id: entry.keyId,
  action: entry.action,
  resource: entry.resource,
  resource_id: entry.resourceId,
  outcome: entry.outcome,
  status: entry.status,
  code: entry.code,
  request_id: entry.requestId,
  ip: entry.ip,
  user_agent: entry.userAgent,
  before: entry.before,
  after: entry.after,
})

const COLUMNS =
  'org_id, user_id, role, key_id, action, resource, resource_id, outcome, status, code, request_id, ip, user_agent, before, after'

const TYPES = `org_id text, user_id text, role text, key_id uuid, action text, resource text, resource_id text, outcome text, status smallint,
  code text, request_id text, ip text, user_agent text, before jsonb, after jsonb`

/** Writes `audit`, a jsonb, of each row of `from`, unless it is null. */
export const insertAudit = (audit: string, from: string): string => `
  INSERT INTO audit_events (${COLUMNS})
  SELECT recorded.* FROM ${from} CROSS JOIN LATERAL jsonb_to_record(${audit}) AS recorded (${TYPES}) WHERE ${audit} IS NOT NULL`

const ADD = `
INSERT INTO audit_events (${COLUMNS}) SELECT ${COLUMNS} FROM jsonb_to_recordset($1::jsonb) AS recorded (${TYPES})`

/** In the transaction of the change. */
export const auditWith = async (query: Queries['query'], entries: readonly AuditEntry[]): Promise<void> => {
  await query({ name: 'audit', text: ADD, values: [JSON.stringify(entries.map(auditRecord))] })
}

const eventFromRow = (row: Row): AuditEvent => ({
  id: row.id,
  at: row.at,
  orgId: row.org_id === NOBODYS ? null : (row.org_id as OrgId),
  userId: row.user_id as UserId | null,
  role: row.role,
  keyId: row.key_id as ApiKeyId | null,
  action: row.action,
  resource: row.resource,
  resourceId: row.resource_id,
  outcome: row.outcome,
  status: row.status,
  code: row.code,
  requestId: row.request_id,
  ip: row.ip,
  userAgent: row.user_agent,
  before: row.before,
  after: row.after,
})

type Parameters = { readonly values: unknown[]; readonly add: (value: unknown) => string }

const parameters = (): Parameters => {
  const values: unknown[] = []
  return { values, add: (value) => `$${values.push(value)}` }
}

const KEY = /^key:([0-9a-f-]{36})$/
const USER = /^user:/

/** By who it was: users by their name, also as events of sessions tell them, and keys by their id. */
const byActor = (actors: readonly string[], params: Parameters): string => {
  const keys = actors.flatMap((actor) => KEY.exec(actor)?.[1] ?? [])
  const users = actors.filter((actor) => !KEY.test(actor)).map((actor) => actor.replace(USER, ''))
  const either = [
    ...(users.length === 0 ? [] : [`user_id = ANY(${params.add(users)}::text[])`]),
    ...(keys.length === 0 ? [] : [`key_id = ANY(${params.add(keys)}::uuid[])`]),
  ]
  return `(${either.join(' OR ')})`
}

const conditions = (filter: AuditFilter, params: Parameters): readonly string[] => {
  const where: string[] = []
  const among = (column: string, values: readonly string[] | undefined): void => {
    if (values !== undefined) where.push(`${column} = ANY(${params.add(values)}::text[])`)
  }
  if (filter.actor !== undefined) where.push(byActor(filter.actor, params))
  among('action', filter.action)
  among('resource', filter.resource)
  among('resource_id', filter.resourceId)
  among('outcome', filter.outcome)
  // What indexes of few rows are about has to be said in their words.
  if (filter.outcome !== undefined && !filter.outcome.includes('succeeded')) where.push(`outcome <> 'succeeded'`)
  if (filter.resource !== undefined && !filter.resource.includes('session')) where.push(`resource <> 'session'`)
  if (filter.from !== undefined) where.push(`at >= ${params.add(filter.from)}`)
  if (filter.to !== undefined) where.push(`at < ${params.add(filter.to)}`)
  return where
}

/** Rows at a time of an export: some hundred kilobytes. */
const EXPORTED_AT_ONCE = 500

type Position = readonly (string | number)[]

export const createAuditStore = (database: Database, cursors: Cursors): AuditStore => {
  const read = async (
    scope: AuditScope,
    filter: AuditFilter,
    { beyond, direction }: Order,
    from: Position | null,
    upTo: Position | null,
    limit: number,
  ): Promise<readonly Row[]> => {
    const params = parameters()
    const orgs = params.add(scope.nobodys ? [scope.orgId, NOBODYS] : [scope.orgId])
    const where = [...conditions(filter, params)]
    const compared = (operator: string, [at, id]: Position): void =>
      void where.push(`(at, id) ${operator} (${fromMicroseconds(params.add(at))}, ${params.add(id)}::bigint)`)
    if (from !== null) compared(beyond, from)
    if (upTo !== null) compared('<=', upTo)
    const most = params.add(limit)
    const condition = ['org_id = org.id', ...where].join(' AND ')
    const { rows } = await (scope.nobodys ? database : database.of(scope.orgId)).query({
      // Of each org its own part of an index, in order.
      text: `SELECT e.*, ${inMicroseconds('at')} AS micros
               FROM unnest(${orgs}::text[]) AS org (id)
              CROSS JOIN LATERAL (
                      SELECT * FROM audit_events WHERE ${condition}
                       ORDER BY at ${direction}, id ${direction} LIMIT ${most}) e
              ORDER BY e.at ${direction}, e.id ${direction} LIMIT ${most}`,
      values: params.values,
    })
    return rows
  }
  const positionOf = (row: Row): Position => [row.micros, row.id]

  return {
    list: async (scope, filter, { limit, cursor, sort = '-at' }) => {
      const list = listOf('audit', scope.orgId, { ...filter, nobodys: scope.nobodys, sort })
      const rows = await read(scope, filter, orderOf(sort), cursors.decode(list, cursor), null, limit + 1)
      return pageOf(rows, limit, eventFromRow, (row: Row) => cursors.encode(list, positionOf(row)))
    },

    all: async function* (scope, filter) {
      const [last] = await read(scope, filter, orderOf('-at'), null, null, 1)
      if (last === undefined) return
      let from: Position | null = null
      for (;;) {
        const rows: readonly Row[] = await read(scope, filter, orderOf('at'), from, positionOf(last), EXPORTED_AT_ONCE)
        if (rows.length > 0) yield rows.map(eventFromRow)
        if (rows.length < EXPORTED_AT_ONCE) return
        from = positionOf(rows.at(-1))
      }
    },

    add: async (entries) => {
      await database.query({ name: 'audit', text: ADD, values: [JSON.stringify(entries.map(auditRecord))] })
    },
  }
}
