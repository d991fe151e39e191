import * as c from '../../domain/codec/codec.ts'
import { roles } from '../../domain/identity/caller.ts'
import { type AuditEvent, auditOutcomes } from '../../domain/ports/audit.ts'
import { byTime } from '../../domain/ports/page.ts'
import { time } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { commaList, paging, query, sorting, text, timestamp } from './query.ts'

const anything = c.nullable(c.anyObject)
const nullableText = c.nullable(c.string())

export const auditEventCodec = represents<AuditEvent>()(
  c.openObject({
    id: c.integer(),
    at: time,
    orgId: c.described(nullableText, 'null: nobody’s, as with keys that are not known'),
    userId: nullableText,
    role: c.nullable(c.oneOf(roles)),
    keyId: c.described(nullableText, 'the API key; null: by a token, by nobody known, or not told'),
    action: c.described(c.string(), 'the operationId'),
    resource: c.described(c.string(), 'what kind of thing: `session`, `agent`, `api_key`, …'),
    resourceId: nullableText,
    outcome: c.described(
      c.oneOf(auditOutcomes),
      '`refused`: nothing was done; `failed`: a fault of the server, of which it is not known',
    ),
    status: c.described(c.integer(), 'of the answer'),
    code: c.described(nullableText, 'of the problem that it was answered with'),
    requestId: c.string(),
    ip: c.described(c.string(), 'from where; empty: not told'),
    userAgent: nullableText,
    before: c.described(anything, 'what became different, as it was; secrets are left out'),
    after: c.described(anything, 'the same, as it became; of something new all of it'),
  }),
)
export type AuditRecord = c.TypeOf<typeof auditEventCodec>

export const auditPageCodec = pageOf(auditEventCodec)

const auditFilters = {
  actor: commaList(text(300), 'users by their id, keys as `key:` and their id'),
  action: commaList(text(100), 'operations, such as `createSession`'),
  resource: commaList(text(100), 'kinds of things, such as `session`'),
  resourceId: commaList(text(300), 'things by their id or name'),
  outcome: commaList(c.oneOf(auditOutcomes)),
  from: timestamp,
  to: c.described(timestamp, 'before this'),
} as const

export const auditFormats = ['csv', 'ndjson'] as const
export type AuditFormat = (typeof auditFormats)[number]

export const listAuditQuery = query({ ...auditFilters, ...sorting(byTime), ...paging })
export const exportAuditQuery = query({
  ...auditFilters,
  format: c.oneOf(auditFormats, { default: 'ndjson' }),
})
