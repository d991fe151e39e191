import { pipe, TE } from '../../domain/fp.ts'
import { ORG_REVISION, type Org } from '../../domain/ports/orgs.ts'
import { orgRepresentation } from '../../src/api/org.ts'
import type { orgRoutes } from '../../src/api/org-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { noContent, ok } from './replies.ts'

const made = (org: Org): Reply => ({
  status: 201,
  body: orgRepresentation(org),
  etag: ORG_REVISION,
  location: `/api/v1/orgs/${encodeURIComponent(org.id)}`,
})

export const orgHandlers = ({ orgs }: Application): Handlers<keyof typeof orgRoutes> => ({
  listOrgs: ({ caller, query: { limit, cursor, sort } }) =>
    pipe(
      orgs.list(caller, pageRequest(limit, cursor, sort)),
      TE.map(({ items, nextCursor }) => ok({ items: items.map(orgRepresentation), nextCursor })),
    ),
  createOrg: ({ caller, body, keeping }) => pipe(orgs.create(caller, body, keeping(made)), TE.map(made)),
  getOrg: ({ caller, params }) =>
    pipe(
      orgs.get(caller, params.id),
      TE.map((org) => ({ status: 200, body: orgRepresentation(org), etag: ORG_REVISION })),
    ),
  deleteOrg: ({ caller, params, ifMatch, keeping }) =>
    pipe(orgs.remove(caller, params.id, ifMatch, keeping(noContent)), TE.map(noContent)),
})
