import { pipe, TE } from '../../domain/fp.ts'
import type { auditRoutes } from '../../src/api/audit-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import { auditLines, typeOf } from './audit-lines.ts'
import type { Handlers } from './endpoint.ts'
import { ok } from './replies.ts'

export const auditHandlers = ({ audit }: Application): Handlers<keyof typeof auditRoutes> => ({
  listAudit: ({ caller, query: { limit, cursor, sort, ...filter } }) =>
    pipe(audit.list(caller, filter, pageRequest(limit, cursor, sort)), TE.map(ok)),
  exportAudit: ({ caller, query: { format = 'ndjson', ...filter } }) =>
    pipe(
      audit.all(caller, filter),
      TE.map((groups) => ({
        status: 200,
        download: { type: typeOf(format), filename: `audit.${format}`, chunks: auditLines(groups, format) },
      })),
    ),
})
