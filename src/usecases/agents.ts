import type { Agent } from '../../domain/agent/agent.ts'
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { AgentId, OrgId } from '../../domain/ids.ts'
import { outlookOf } from '../../domain/placement/outlook.ts'
import type { AccessStore } from '../../domain/ports/access.ts'
import type { AgentDrains } from '../../domain/ports/agent-drains.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { AgentGateway } from '../../domain/ports/delivery.ts'
import { type IfMatch, isMatch, mismatch } from '../../domain/ports/if-match.ts'
import type { ById, PageRequest } from '../../domain/ports/page.ts'
import type { Tokens } from '../../domain/ports/tokens.ts'
import type { Answer, Application, DrainView } from './application.ts'
import { operatedAgent } from './operated-agent.ts'
import { mayOwn } from './templates.ts'

export type AgentDeps = {
  readonly agents: AgentStore
  readonly drains: Pick<AgentDrains, 'begin' | 'progress'>
  readonly access: AccessStore
  readonly tokens: Tokens
  readonly gateway: Pick<AgentGateway, 'disconnect'>
}

/** Close code of the protocol: agent removed, token revoked or rotated. */
const REVOKED = 4004

/** A `user` sees sessions of their own and templates; what runs them is the org's. */
const seesAgents = (caller: Caller): boolean => may(caller, 'read_org')
const hidden = E.left(forbidden('read_org'))

export const agentUseCases = (deps: AgentDeps): Application['agents'] => {
  const visible = async (caller: Caller, id: AgentId): Promise<E.Either<ApplicationError, Agent>> => {
    const agent = await deps.agents.get(caller.orgId, id)
    return agent === null ? E.left(notFound('agent', id)) : E.right(agent)
  }

  /** For changes, at a revision that the caller accepts. */
  const changed = async (caller: Caller, id: AgentId, ifMatch: IfMatch): Promise<E.Either<ApplicationError, Agent>> => {
    const agent = await operatedAgent(deps.agents, caller, id)
    return E.isLeft(agent) || isMatch(ifMatch, agent.right.revision) ? agent : E.left(mismatch(agent.right.revision))
  }

  /** Somebody else was faster than this caller. */
  const changedMeanwhile = async (caller: Caller, id: AgentId): Promise<E.Either<ApplicationError, never>> => {
    const now = await visible(caller, id)
    return E.isLeft(now) ? now : E.left(mismatch(now.right.revision))
  }

  const setCordoned =
    (cordoned: boolean) =>
    (caller: Caller, id: AgentId, ifMatch: IfMatch): Answer<Agent> =>
    async () => {
      const agent = await changed(caller, id, ifMatch)
      if (E.isLeft(agent)) return agent
      const revision = await deps.agents.setCordoned(agent.right, cordoned, ifMatch)
      if (revision === null) return changedMeanwhile(caller, id)
      return E.right({ ...agent.right, cordoned, draining: cordoned && agent.right.draining, revision })
    }

  /** Sessions of all orgs may be on a shared agent: the installation is told of them, others of their own. */
  const seenOn = (caller: Caller, agent: Agent): OrgId | null =>
    agent.orgId === null && may(caller, 'administer_installation') ? null : caller.orgId

  const drainViewOf = async (caller: Caller, agent: Agent, page: PageRequest<ById>): Promise<DrainView> => {
    const seen = seenOn(caller, agent)
    const { page: listed, ...progress } = await deps.drains.progress(seen, agent.id, page)
    const candidates = new Map<OrgId, readonly Agent[]>()
    const items: DrainView['page']['items'][number][] = []
    for (const { session, moving } of listed.items) {
      const { id, name, orgId, userId, status } = session
      const known = candidates.get(orgId) ?? (await deps.agents.candidates(orgId))
      candidates.set(orgId, known)
      items.push({ id, name, orgId, userId, status, ...outlookOf(session, agent, known, moving) })
    }
    return {
      ...progress,
      // Who runs the installation is nothing that an org is told.
      startedBy: agent.orgId === null && seen !== null ? null : progress.startedBy,
      agentId: agent.id,
      draining: agent.draining,
      page: { items, nextCursor: listed.nextCursor },
    }
  }

  return {
    list: (caller, filter, page) => async () =>
      seesAgents(caller) ? E.right(await deps.agents.list(caller.orgId, filter, page)) : hidden,
    get: (caller, id) => async () => {
      const agent = await visible(caller, id)
      return E.isLeft(agent) || seesAgents(caller) ? agent : hidden
    },
    cordon: setCordoned(true),
    uncordon: setCordoned(false),

    drain: (caller, id, ifMatch) => async () => {
      const agent = await changed(caller, id, ifMatch)
      if (E.isLeft(agent)) return agent
      const revision = await deps.drains.begin(agent.right, `user:${caller.userId}`, ifMatch)
      if (revision === null) return changedMeanwhile(caller, id)
      return E.right({ ...agent.right, cordoned: true, draining: true, revision })
    },
    drainProgress: (caller, id, page) => async () => {
      const agent = await visible(caller, id)
      if (E.isRight(agent) && !seesAgents(caller)) return hidden
      return E.isLeft(agent) ? agent : E.right(await drainViewOf(caller, agent.right, page))
    },

    enrol: (caller, request) => async () => {
      if (!may(caller, 'operate')) return E.left(forbidden('operate'))
      const orgId = request.orgId === undefined ? caller.orgId : request.orgId
      if (!mayOwn(caller, orgId)) return E.left(forbidden('administer_installation'))
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

    rotateToken: (caller, id, ifMatch) => async () => {
      const agent = await changed(caller, id, ifMatch)
      if (E.isLeft(agent)) return agent
      const token = deps.tokens.agentToken()
      if (!(await deps.agents.setTokenHash(agent.right, deps.tokens.hash(token), ifMatch)))
        return changedMeanwhile(caller, id)
      deps.gateway.disconnect(id, REVOKED, 'its token was rotated')
      return E.right({ agent: (await deps.agents.get(caller.orgId, id)) ?? agent.right, token })
    },

    remove: (caller, id, force, ifMatch) => async () => {
      const agent = await changed(caller, id, ifMatch)
      if (E.isLeft(agent)) return agent
      const lost = force ? await deps.agents.remove(agent.right, ifMatch) : null
      const sessions = force ? 0 : await deps.agents.removeEmpty(agent.right, ifMatch)
      if ((force && lost === null) || sessions === null) return changedMeanwhile(caller, id)
      if (sessions > 0) return E.left({ _tag: 'AgentHasSessions', agentId: id, sessions })
      deps.gateway.disconnect(id, REVOKED, 'the agent was removed')
      return E.right(lost)
    },
  }
}
