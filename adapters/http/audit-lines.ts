/** An audit trail as text, one event a line: NDJSON, or CSV (RFC 4180) for spreadsheets. */
import type { AuditEvent } from '../../domain/ports/audit.ts'
import type { AuditFormat } from '../../src/api/audit.ts'

export const COLUMNS = [
  'id',
  'at',
  'orgId',
  'userId',
  'role',
  'keyId',
  'action',
  'resource',
  'resourceId',
  'outcome',
  'status',
  'code',
  'requestId',
  'ip',
  'userAgent',
  'before',
  'after',
] as const satisfies readonly (keyof AuditEvent)[]

/** A spreadsheet takes what begins so for a formula, and runs it (https://owasp.org/www-community/attacks/CSV_Injection). */
const FORMULA = /^[=+\-@\t\r]/

const field = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return String(value)
  const text =
    value instanceof Date ? value.toISOString() : typeof value === 'object' ? JSON.stringify(value) : String(value)
  return `"${(FORMULA.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`
}

const csvLine = (event: AuditEvent): string => `${COLUMNS.map((column) => field(event[column])).join(',')}\r\n`
const ndjsonLine = (event: AuditEvent): string => `${JSON.stringify(event)}\n`

const formats: {
  readonly [F in AuditFormat]: {
    readonly type: string
    readonly head: string
    readonly line: (event: AuditEvent) => string
  }
} = {
  csv: { type: 'text/csv; charset=utf-8; header=present', head: `${COLUMNS.join(',')}\r\n`, line: csvLine },
  ndjson: { type: 'application/x-ndjson', head: '', line: ndjsonLine },
}

export const typeOf = (format: AuditFormat): string => formats[format].type

/** Reads on only when what was read before is on its way. */
export async function* auditLines(
  groups: AsyncIterable<readonly AuditEvent[]>,
  format: AuditFormat,
): AsyncGenerator<string> {
  const { head, line } = formats[format]
  let first = head
  for await (const events of groups) {
    yield first + events.map(line).join('')
    first = ''
  }
  if (first !== '') yield first
}
