/** The statement of a page of sessions. */
import type { Scope } from '../../domain/identity/caller.ts'
import type { SessionFilter, SessionSort } from '../../domain/ports/sessions.ts'
import type { SessionField } from '../../domain/session/session-view.ts'
import { fromMicroseconds, inMicroseconds, orderOf } from './order.ts'
import type { Query } from './pool.ts'
import { type Matching, matching, parameters } from './session-filters.ts'
import { jsonColumns, showsReachable } from './session-json.ts'
import { LIVENESS } from './session-row.ts'
import { namedBy } from './session-words.ts'

export type SessionListQuery = {
  readonly scope: Scope
  readonly filter: SessionFilter
  readonly sort: SessionSort
  /** Sort key and id of the last row of the page before. */
  readonly after: readonly (string | number)[] | null
  readonly limit: number
  readonly fields: readonly SessionField[] | null
  readonly agentSilentAfterMs: number
}

/** Rows of `json`, `sort_key`, `id`: at most one more than `limit`. */
export const sessionList = (asked: SessionListQuery): Query => {
  const { scope, filter, after, fields } = asked
  const params = parameters()
  const { by, direction, beyond: past } = orderOf(asked.sort)
  const limit = params.add(asked.limit + 1)
  const silentMs = showsReachable(fields) ? params.add(asked.agentSilentAfterMs) : ''
  const [last, lastId] = after === null ? [] : [params.add(after[0]), params.add(after[1])]

  const rowsOf = ({ from, where, createdAt, id }: Matching, condition: string): string => {
    const key = by === 'createdAt' ? createdAt : 's.name_key'
    const beyond =
      last === undefined
        ? ''
        : `AND (${key}, ${id}) ${past} (${by === 'createdAt' ? fromMicroseconds(last) : last}, ${lastId}::uuid)`
    return `
SELECT (SELECT row_to_json(shown)::text FROM (SELECT ${jsonColumns(fields, silentMs)}) shown) AS json,
       s.id, ${by === 'createdAt' ? inMicroseconds(key) : key} AS sort_key
  FROM ${from} ${showsReachable(fields) ? LIVENESS : ''}
 WHERE ${condition} AND ${where.join(' AND ')} ${beyond}
 ORDER BY ${key} ${direction}, ${id} ${direction}
 LIMIT ${limit}`
  }

  const named = namedBy(filter.q, scope.orgId, params.add)
  if (named === null) return { text: rowsOf(matching(scope, filter, params), 'true'), values: params.values }
  const few = matching(scope, filter, params, { begin: named.few, words: 'each' })
  const many = matching(scope, filter, params, { begin: null, words: 'each' })
  return {
    // Only one of the two finds anything, and the other is not begun.
    text: `
WITH ${named.tables}
SELECT json, id, sort_key FROM ((${rowsOf(few, 'true')}) UNION ALL (${rowsOf(many, named.isMany)})) rows
ORDER BY sort_key ${direction}, id ${direction}`,
    values: params.values,
  }
}
