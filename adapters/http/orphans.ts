import { presentStates } from '../../domain/agent/orphan.ts'
import { pipe, TE } from '../../domain/fp.ts'
import type { orphanRoutes } from '../../src/api/orphan-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import { accepted, ok } from './replies.ts'
import { created } from './sessions.ts'

export const orphanHandlers = ({ orphans }: Application): Handlers<keyof typeof orphanRoutes> => ({
  listOrphans: ({ caller, params, query: { limit, cursor, state } }) =>
    pipe(orphans.list(caller, params.id, state ?? presentStates, pageRequest(limit, cursor)), TE.map(ok)),
  approveOrphans: ({ caller, params, body, keeping }) =>
    pipe(orphans.approve(caller, params.id, body.sessionIds ?? null, keeping(accepted)), TE.map(accepted)),
  adoptOrphan: ({ caller, params, body, keeping }) =>
    pipe(orphans.adopt(caller, params.id, params.sessionId, body, keeping(created)), TE.map(created)),
  listAgentEvents: ({ caller, params, query: { limit, cursor } }) =>
    pipe(orphans.events(caller, params.id, pageRequest(limit, cursor)), TE.map(ok)),
  getOrphanRemoval: ({ caller }) => pipe(orphans.removal(caller), TE.map(ok)),
  haltOrphanRemoval: ({ caller, keeping }) => pipe(orphans.halt(caller, keeping(ok)), TE.map(ok)),
  resumeOrphanRemoval: ({ caller, keeping }) => pipe(orphans.resume(caller, keeping(ok)), TE.map(ok)),
})
