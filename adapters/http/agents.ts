import type { Agent } from '../../domain/agent/agent.ts'
import { pipe, TE } from '../../domain/fp.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { LostSessions } from '../../domain/ports/agents.ts'
import type { Page } from '../../domain/ports/page.ts'
import { agentRepresentation, removedAgentRepresentation } from '../../src/api/agent.ts'
import type { agentRoutes } from '../../src/api/agent-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application, DrainView } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { noContent, ok } from './replies.ts'

const one = (agent: Agent): Reply => ({ status: 200, body: agentRepresentation(agent), etag: agent.revision })

const draining = (agent: Agent): Reply => ({ ...one(agent), status: 202 })

const progress = ({ page: { items, nextCursor }, ...figures }: DrainView): Reply =>
  ok({ ...figures, items, nextCursor })

type WithToken = { readonly agent: Agent; readonly token: string }

/** The one answer that shows the token. */
const withToken = ({ agent, token }: WithToken): Reply => ({
  status: 200,
  body: { ...agentRepresentation(agent), token },
  etag: agent.revision,
  secret: true,
})

const page = ({ items, nextCursor }: Page<Agent>): Reply => ok({ items: items.map(agentRepresentation), nextCursor })

const enrolled = (result: WithToken): Reply => ({
  ...withToken(result),
  status: 201,
  location: `/api/v1/agents/${encodeURIComponent(result.agent.id)}`,
})

const removed =
  (agentId: AgentId) =>
  (lost: LostSessions | null): Reply =>
    lost === null
      ? noContent()
      : {
          ...ok(removedAgentRepresentation(agentId, lost)),
          elsewhere: lost.byOrg.map(({ orgId, count, sessionIds }) => ({ orgId, after: { lost: count, sessionIds } })),
        }

export const agentHandlers = ({ agents }: Application): Handlers<keyof typeof agentRoutes> => ({
  listAgents: ({ caller, query: { limit, cursor, sort, ...filter } }) =>
    pipe(agents.list(caller, filter, pageRequest(limit, cursor, sort)), TE.map(page)),
  enrolAgent: ({ caller, body, keeping }) => pipe(agents.enrol(caller, body, keeping(enrolled)), TE.map(enrolled)),
  getAgent: ({ caller, params }) => pipe(agents.get(caller, params.id), TE.map(one)),
  removeAgent: ({ caller, params, query, ifMatch, keeping }) => {
    const reply = removed(params.id)
    return pipe(agents.remove(caller, params.id, query.force ?? false, ifMatch, keeping(reply)), TE.map(reply))
  },
  rotateAgentToken: ({ caller, params, ifMatch, keeping }) =>
    pipe(agents.rotateToken(caller, params.id, ifMatch, keeping(withToken)), TE.map(withToken)),
  cordonAgent: ({ caller, params, ifMatch, keeping }) =>
    pipe(agents.cordon(caller, params.id, ifMatch, keeping(one)), TE.map(one)),
  drainAgent: ({ caller, params, ifMatch, keeping }) =>
    pipe(agents.drain(caller, params.id, ifMatch, keeping(draining)), TE.map(draining)),
  getAgentDrain: ({ caller, params, query }) =>
    pipe(agents.drainProgress(caller, params.id, pageRequest(query.limit, query.cursor, query.sort)), TE.map(progress)),
  uncordonAgent: ({ caller, params, ifMatch, keeping }) =>
    pipe(agents.uncordon(caller, params.id, ifMatch, keeping(one)), TE.map(one)),
})
