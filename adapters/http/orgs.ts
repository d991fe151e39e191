import { pipe, TE } from '../../domain/fp.ts'
import { orgRepresentation } from '../../src/api/org.ts'
import type { orgRoutes } from '../../src/api/org-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import { noContent, ok } from './replies.ts'

export const orgHandlers = ({ orgs }: Application): Handlers<keyof typeof orgRoutes> => ({
  listOrgs: ({ caller, query: { limit, cursor } }) =>
    pipe(
      orgs.list(caller, pageRequest(limit, cursor)),
      TE.map(({ items, nextCursor }) => ok({ items: items.map(orgRepresentation), nextCursor })),
    ),
  createOrg: ({ caller, body }) =>
    pipe(
      orgs.create(caller, body),
      TE.map((org) => ({
        status: 201,
        body: orgRepresentation(org),
        location: `/api/v1/orgs/${encodeURIComponent(org.id)}`,
      })),
    ),
  getOrg: ({ caller, params }) =>
    pipe(
      orgs.get(caller, params.id),
      TE.map((org) => ({ status: 200, body: orgRepresentation(org), etag: 'content' as const })),
    ),
  deleteOrg: ({ caller, params }) => pipe(orgs.remove(caller, params.id), TE.map(noContent)),
})
