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
  secret: true,
})

export const apiKeyHandlers = ({ apiKeys }: Application): Handlers<keyof typeof apiKeyRoutes> => ({
  listApiKeys: ({ caller, query: { limit, cursor } }) =>
    pipe(
      apiKeys.list(caller, pageRequest(limit, cursor)),
      TE.map(({ items, nextCursor }) => ok({ items: items.map(apiKeyRepresentation), nextCursor })),
    ),
  createApiKey: ({ caller, body, keeping }) => pipe(apiKeys.create(caller, body, keeping(made)), TE.map(made)),
  rotateApiKey: ({ caller, params, body, keeping }) =>
    pipe(apiKeys.rotate(caller, params.id, body.overlapSeconds ?? 0, keeping(made)), TE.map(made)),
  revokeApiKey: ({ caller, params, keeping }) =>
    pipe(apiKeys.revoke(caller, params.id, keeping(noContent)), TE.map(noContent)),
})
