import type { Agent } from '../../domain/agent/agent.ts'
import { type ApplicationError, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { AccessStore } from '../../domain/ports/access.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { AgentGateway } from '../../domain/ports/delivery.ts'
import type { Tokens } from '../../domain/ports/tokens.ts'
import type { Answer, Application } from './application.ts'
import { mayOwn } from './templates.ts'

export type AgentDeps = {
  readonly agents: AgentStore
  readonly access: AccessStore
  readonly tokens: Tokens
  readonly gateway: Pick<AgentGateway, 'disconnect'>
}

/** Close code of the protocol: agent removed, token revoked or rotated. */
const REVOKED = 4004

/** A `user` sees sessions of their own and templates; what runs them is the org's. */
const seesAgents = (caller: Caller): boolean => may(caller, 'read_org')
const hidden = E.left({ _tag: 'Forbidden', permission: 'read_org' } as const)

export const agentUseCases = (deps: AgentDeps): Application['agents'] => {
  const visible = async (caller: Caller, id: AgentId): Promise<E.Either<ApplicationError, Agent>> => {
    const agent = await deps.agents.get(caller.orgId, id)
    return agent === null ? E.left(notFound('agent', id)) : E.right(agent)
  }

  /** For changes: visible, an operator, and the agent is the org's own (or the caller is the installation). */
  const operated = async (caller: Caller, id: AgentId): Promise<E.Either<ApplicationError, Agent>> => {
    const agent = await visible(caller, id)
    if (E.isLeft(agent)) return agent
    if (!may(caller, 'operate')) return E.left({ _tag: 'Forbidden', permission: 'operate' })
    if (!mayOwn(caller, agent.right.orgId)) return E.left({ _tag: 'Forbidden', permission: 'administer_installation' })
    return agent
  }

  const setCordoned =
    (cordoned: boolean) =>
    (caller: Caller, id: AgentId): Answer<Agent> =>
    async () => {
      const agent = await operated(caller, id)
      if (E.isLeft(agent)) return agent
      await deps.agents.setCordoned(agent.right, cordoned)
      return E.right({ ...agent.right, cordoned })
    }

  return {
    list: (caller, filter, page) => async () =>
      seesAgents(caller) ? E.right(await deps.agents.list(caller.orgId, filter, page)) : hidden,
    get: (caller, id) => async () => (seesAgents(caller) ? visible(caller, id) : hidden),
    cordon: setCordoned(true),
    uncordon: setCordoned(false),

    enrol: (caller, request) => async () => {
      if (!may(caller, 'operate')) return E.left({ _tag: 'Forbidden', permission: 'operate' })
      const orgId = request.orgId === undefined ? caller.orgId : request.orgId
      if (!mayOwn(caller, orgId)) return E.left({ _tag: 'Forbidden', permission: 'administer_installation' })
      if (orgId !== null && orgId !== caller.orgId && !(await deps.access.orgExists(orgId)))
        return E.left(notFound('org', orgId))
      const token = deps.tokens.agentToken()
      const enrolled = await deps.agents.enrol({
        id: request.id,
        orgId,
        platform: request.platform,
        region: request.region ?? null,
        labels: request.labels ?? {},
        tokenHash: deps.tokens.hash(token),
      })
      if (!enrolled) return E.left({ _tag: 'AgentExists', agentId: request.id })
      const agent = await deps.agents.get(orgId ?? caller.orgId, request.id)
      return agent === null ? E.left(notFound('agent', request.id)) : E.right({ agent, token })
    },

    rotateToken: (caller, id) => async () => {
      const agent = await operated(caller, id)
      if (E.isLeft(agent)) return agent
      const token = deps.tokens.agentToken()
      await deps.agents.setTokenHash(agent.right, deps.tokens.hash(token))
      deps.gateway.disconnect(id, REVOKED, 'its token was rotated')
      return E.right({ agent: agent.right, token })
    },

    remove: (caller, id, force) => async () => {
      const agent = await operated(caller, id)
      if (E.isLeft(agent)) return agent
      const lost = force ? await deps.agents.remove(agent.right) : null
      const sessions = lost === null ? await deps.agents.removeEmpty(agent.right) : 0
      if (sessions > 0) return E.left({ _tag: 'AgentHasSessions', agentId: id, sessions })
      deps.gateway.disconnect(id, REVOKED, 'the agent was removed')
      return E.right(lost)
    },
  }
}
