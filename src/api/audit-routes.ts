import { auditPageCodec, exportAuditQuery, listAuditQuery } from './audit.ts'
import { nothingSent, type Route, reading } from './route.ts'

const aboutAudit = { tag: 'Audit', access: 'administer', params: {} } as const

export const auditRoutes = {
  listAudit: {
    ...reading,
    ...aboutAudit,
    path: '/api/v1/audit',
    summary: 'List who did what, newest first',
    description:
      'Every change, and all that was refused. Of an org its own; an installation key also sees what is nobody’s, such as logins with unknown keys.',
    query: listAuditQuery,
    answers: { 200: { description: 'A page of the audit trail', codec: auditPageCodec, headers: ['ETag'] } },
  },
  exportAudit: {
    ...nothingSent,
    ...aboutAudit,
    method: 'get',
    path: '/api/v1/audit/export',
    takes: 'long',
    summary: 'Export who did what, oldest first',
    description:
      'All of it that was there when it was asked for, in one answer that is sent as it is read: no page, no cursor. One that was cut short ends without the end of its last chunk.',
    query: exportAuditQuery,
    answers: {
      200: { description: 'One line an event', codec: null, streams: ['application/x-ndjson', 'text/csv'] },
    },
  },
} as const satisfies { readonly [operationId: string]: Route }
