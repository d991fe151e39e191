import { pipe, TE } from '../../domain/fp.ts'
import type { AuditFilter } from '../../domain/ports/audit.ts'
import type { auditRoutes } from '../../src/api/audit-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import { resourceOf } from './audit.ts'
import { auditLines, typeOf } from './audit-lines.ts'
import type { Handlers } from './endpoint.ts'
import { ok } from './replies.ts'

/** What all of these are done to, if nothing else is asked: of rare things an index tells, of rare acts none does. */
const withResources = (filter: AuditFilter): AuditFilter => {
  const resource = filter.action?.map(resourceOf) ?? []
  return filter.resource !== undefined || resource.length === 0 || resource.includes(null)
    ? filter
    : { ...filter, resource: resource.filter((one) => one !== null) }
}

export const auditHandlers = ({ audit }: Application): Handlers<keyof typeof auditRoutes> => ({
  listAudit: ({ caller, query: { limit, cursor, sort, ...filter } }) =>
    pipe(audit.list(caller, withResources(filter), pageRequest(limit, cursor, sort)), TE.map(ok)),
  exportAudit: ({ caller, query: { format = 'ndjson', ...filter } }) =>
    pipe(
      audit.all(caller, withResources(filter)),
      TE.map((groups) => ({
        status: 200,
        download: { type: typeOf(format), filename: `audit.${format}`, chunks: auditLines(groups, format) },
      })),
    ),
})
