import { pipe, TE } from '../../domain/fp.ts'
import { apiKeyRepresentation } from '../../src/api/api-key.ts'
import type { apiKeyRoutes } from '../../src/api/api-key-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application, MadeApiKey } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { noContent, ok } from './replies.ts'

/** The one answer that shows the key. */
const made = ({ apiKey, key }: MadeApiKey): Reply => ({
  status: 201,
  body: { ...apiKeyRepresentation(apiKey), key },
  etag: apiKey.revision,
  location: `/api/v1/api-keys/${apiKey.id}`,
  secret: true,
})

export const apiKeyHandlers = ({ apiKeys }: Application): Handlers<keyof typeof apiKeyRoutes> => ({
  listApiKeys: ({ caller, query: { limit, cursor, sort } }) =>
    pipe(
      apiKeys.list(caller, pageRequest(limit, cursor, sort)),
      TE.map(({ items, nextCursor }) => ok({ items: items.map(apiKeyRepresentation), nextCursor })),
    ),
  getApiKey: ({ caller, params }) =>
    pipe(
      apiKeys.get(caller, params.id),
      TE.map((key) => ({ status: 200, body: apiKeyRepresentation(key), etag: key.revision })),
    ),
  createApiKey: ({ caller, body, keeping }) => pipe(apiKeys.create(caller, body, keeping(made)), TE.map(made)),
  rotateApiKey: ({ caller, params, body, ifMatch, keeping }) =>
    pipe(apiKeys.rotate(caller, params.id, body.overlapSeconds ?? 0, ifMatch, keeping(made)), TE.map(made)),
  revokeApiKey: ({ caller, params, ifMatch, keeping }) =>
    pipe(apiKeys.revoke(caller, params.id, ifMatch, keeping(noContent)), TE.map(noContent)),
})
