/** Filters of sessions as SQL: which table the search begins in, and what holds of a row. */
import type { Scope } from '../../domain/identity/caller.ts'
import type { LabelFilter, SessionFilter } from '../../domain/ports/sessions.ts'
import { isNamed } from './session-words.ts'

/** Parameters of a statement that is put together, in the order in which they are mentioned. */
export const parameters = () => {
  const values: unknown[] = []
  return { values, add: (value: unknown): string => `$${values.push(value)}` }
}
export type Parameters = ReturnType<typeof parameters>

/** `from` has each session `s` once; `createdAt` and `id` are the session's in the table whose index has them in order. */
export type Matching = {
  readonly from: string
  readonly where: readonly string[]
  readonly createdAt: string
  readonly id: string
}

/** `begin`: a table expression `found` with `session_id` and `created_at` of all that can match; null: whatever is best. */
type How = { readonly begin: string | null; readonly words: 'as planned' | 'each' }

export const matching = (
  scope: Scope,
  filter: SessionFilter,
  { add }: Parameters,
  { begin, words }: How = { begin: null, words: 'as planned' },
): Matching => {
  const org = add(scope.orgId)
  const where = [`s.org_id = ${org}`, 's.deleted_at IS NULL']
  const isIn = (column: string, values: readonly string[] | undefined) => {
    if (values === undefined) return
    where.push(values.length === 1 ? `${column} = ${add(values[0])}` : `${column} = ANY(${add(values)}::text[])`)
  }
  if (scope.ownerId !== null) where.push(`s.user_id = ${add(scope.ownerId)}`)
  isIn('s.user_id', filter.user)
  isIn('s.status', filter.status)
  isIn('s.template_name', filter.template)
  isIn('s.platform', filter.platform)
  isIn('s.agent_id', filter.agent)
  const labels = filter.label ?? []
  const [first] = labels
  const found = begin ?? (first === undefined ? null : labelled(first, org, add))
  // Each on its own: the same name asked for with two values matches nothing.
  for (const [name, ...values] of begin === null ? labels.slice(1) : labels)
    where.push(`EXISTS (SELECT FROM session_labels l
                         WHERE l.session_id = s.id AND l.org_id = ${org} AND l.name = ${add(name)} AND l.value = ANY(${add(values)}::text[]))`)
  if (filter.q !== undefined) where.push(...isNamed(filter.q, org, add, words))
  const createdAt = found === null ? 's.created_at' : 'found.created_at'
  if (filter.createdAfter !== undefined) where.push(`${createdAt} > ${add(filter.createdAfter)}`)
  if (filter.createdBefore !== undefined) where.push(`${createdAt} < ${add(filter.createdBefore)}`)
  return found === null
    ? { from: 'sessions s', where, createdAt, id: 's.id' }
    : { from: `(${found}) found JOIN sessions s ON s.id = found.session_id`, where, createdAt, id: 'found.session_id' }
}

/**
 * What has a label is in the index of labels in the order of its creation, for each value: one range, or several that are merged.
 * A session has a label once.
 */
const labelled = ([name, ...values]: LabelFilter, org: string, add: Parameters['add']): string => {
  const named = add(name)
  const ranges = [...new Set(values)].map(
    (value) => `SELECT session_id, created_at FROM session_labels
                 WHERE org_id = ${org} AND name = ${named} AND value = ${add(value)}`,
  )
  return ranges.join(' UNION ALL ')
}
