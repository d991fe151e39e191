import {
  type InstallationOrphanRemoval,
  type OrgOrphanRemoval,
  presentStates,
  type ResumedOrphanRemoval,
} from '../../domain/agent/orphan.ts'
import { pipe, TE } from '../../domain/fp.ts'
import type { orphanRoutes } from '../../src/api/orphan-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { accepted, ok } from './replies.ts'
import { created } from './sessions.ts'

const removal = (view: InstallationOrphanRemoval | OrgOrphanRemoval): Reply => ({
  status: 200,
  body: view,
  etag: view.revision,
})

const resumed = ({ lifted, ...view }: ResumedOrphanRemoval): Reply => ({
  ...removal(view),
  elsewhere: lifted.map(({ orgId, ...halt }) => ({
    orgId,
    before: { halted: true, ...halt },
    after: { halted: false },
  })),
})

export const orphanHandlers = ({ orphans }: Application): Handlers<keyof typeof orphanRoutes> => ({
  listOrphans: ({ caller, params, query: { limit, cursor, sort, state } }) =>
    pipe(orphans.list(caller, params.id, state ?? presentStates, pageRequest(limit, cursor, sort)), TE.map(ok)),
  approveOrphans: ({ caller, params, body, keeping }) =>
    pipe(orphans.approve(caller, params.id, body.sessionIds ?? null, keeping(accepted)), TE.map(accepted)),
  adoptOrphan: ({ caller, params, body, keeping }) =>
    pipe(orphans.adopt(caller, params.id, params.sessionId, body, keeping(created)), TE.map(created)),
  listAgentEvents: ({ caller, params, query: { limit, cursor, sort } }) =>
    pipe(orphans.events(caller, params.id, pageRequest(limit, cursor, sort)), TE.map(ok)),
  getOrphanRemoval: ({ caller }) => pipe(orphans.removal(caller), TE.map(removal)),
  haltOrphanRemoval: ({ caller, ifMatch, keeping }) =>
    pipe(orphans.halt(caller, ifMatch, keeping(removal)), TE.map(removal)),
  resumeOrphanRemoval: ({ caller, ifMatch, keeping }) =>
    pipe(orphans.resume(caller, ifMatch, keeping(resumed)), TE.map(resumed)),
  getOrgOrphanRemoval: ({ caller, params }) => pipe(orphans.orgRemoval(caller, params.id), TE.map(removal)),
  haltOrgOrphanRemoval: ({ caller, params, ifMatch, keeping }) =>
    pipe(orphans.haltOrg(caller, params.id, ifMatch, keeping(removal)), TE.map(removal)),
  resumeOrgOrphanRemoval: ({ caller, params, ifMatch, keeping }) =>
    pipe(orphans.resumeOrg(caller, params.id, ifMatch, keeping(removal)), TE.map(removal)),
})
