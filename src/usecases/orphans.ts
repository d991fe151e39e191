/** Orphans for people: what there is, what happened, and the word that lets them be removed. */
import type { Agent } from '../../domain/agent/agent.ts'
import type { InstallationOrphanRemoval, OrgOrphanRemoval } from '../../domain/agent/orphan.ts'
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { AgentId, OrgId } from '../../domain/ids.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import { type IfMatch, mismatch } from '../../domain/ports/if-match.ts'
import type { OrphanStore } from '../../domain/ports/orphans.ts'
import type { Answer, Application } from './application.ts'
import { operatedAgent } from './operated-agent.ts'
import { commandIds, REMOVALS_AT_ONCE } from './reconcile-orphans.ts'

export type OrphanDeps = {
  readonly orphans: OrphanStore
  readonly agents: Pick<AgentStore, 'get'>
  readonly ids: Ids
  readonly wake: Wake
  /** What a person has decided. */
  readonly told: (act: string, fields: { readonly [name: string]: unknown }) => void
}

/** Approved orphans of which the removal is begun at once; the next inventory begins the rest. */
const MOST_ROUNDS = 100

/** All but adoption (`adopt-orphan.ts`). */
export const orphanUseCases = (deps: OrphanDeps): Omit<Application['orphans'], 'adopt'> => {
  const operated = (caller: Caller, id: AgentId) => operatedAgent(deps.agents, caller, id)

  const begin = async (agent: Agent, count: number): Promise<void> => {
    for (let round = 0, left = count; left > 0 && round < MOST_ROUNDS; round += 1) {
      const begun = await deps.orphans.removeApproved(agent, commandIds(deps.ids, REMOVALS_AT_ONCE))
      left = begun < REMOVALS_AT_ONCE ? 0 : left - begun
    }
    deps.wake.agents([agent.id])
  }

  const everywhere =
    <A extends InstallationOrphanRemoval>(change: (by: string, ifMatch: IfMatch) => Promise<A | null>, told: string) =>
    (caller: Caller, ifMatch: IfMatch): Answer<A> =>
    async () => {
      if (!may(caller, 'administer_installation')) return E.left(forbidden('administer_installation'))
      const removal = await change(`user:${caller.userId}`, ifMatch)
      if (removal === null) return E.left(mismatch((await deps.orphans.removal()).revision))
      deps.told(told, { by: caller.userId })
      return E.right(removal)
    }

  /** Of an org, for its operators: whether it is there is said first, so that other orgs' learn nothing. */
  const ofOrg = async (caller: Caller, id: OrgId): Promise<E.Either<ApplicationError, OrgOrphanRemoval>> => {
    const isTheirs = id === caller.orgId || may(caller, 'administer_installation')
    const removal = isTheirs ? await deps.orphans.orgRemoval(id) : null
    if (removal === null) return E.left(notFound('org', id))
    return may(caller, 'operate') ? E.right(removal) : E.left(forbidden('operate'))
  }

  const inOrg =
    (act: 'haltOrg' | 'resumeOrg', told: string) =>
    (caller: Caller, id: OrgId, ifMatch: IfMatch): Answer<OrgOrphanRemoval> =>
    async () => {
      const was = await ofOrg(caller, id)
      if (E.isLeft(was)) return was
      // Who runs the installation is nothing that an org is told (docs/decisions/0109).
      const by = may(caller, 'administer_installation') ? 'installation' : `user:${caller.userId}`
      const removal = await deps.orphans[act](id, by, ifMatch)
      if (removal === null) return E.left(mismatch((await deps.orphans.orgRemoval(id))?.revision ?? was.right.revision))
      deps.told(told, { by: caller.userId, orgId: id })
      return E.right(removal)
    }

  return {
    list: (caller, id, states, page) => async () => {
      const agent = await operated(caller, id)
      return E.isLeft(agent) ? agent : E.right(await deps.orphans.list(agent.right, states, page))
    },

    events: (caller, id, page) => async () => {
      const agent = await operated(caller, id)
      return E.isLeft(agent) ? agent : E.right(await deps.orphans.events(agent.right, page))
    },

    approve: (caller, id, sessionIds) => async () => {
      const agent = await operated(caller, id)
      if (E.isLeft(agent)) return agent
      const approval = await deps.orphans.approve(agent.right, sessionIds, `user:${caller.userId}`)
      if (approval.kind === 'missing') return E.left(notFound('orphan', approval.sessionIds.slice(0, 5).join(', ')))
      // Committed already: if this is cut short, the agent's next inventory begins what is approved.
      if (approval.count > 0) {
        deps.told('orphans of an agent were approved for removal', {
          agentId: id,
          approved: approval.count,
          by: caller.userId,
        })
        await begin(agent.right, approval.count)
      }
      return E.right({ approved: approval.count })
    },

    removal: (caller) => async () =>
      may(caller, 'administer_installation')
        ? E.right(await deps.orphans.removal())
        : E.left(forbidden('administer_installation')),

    halt: everywhere(deps.orphans.halt, 'no orphan is removed any more that is not approved'),
    resume: everywhere(deps.orphans.resume, 'orphans may be removed again everywhere'),
    orgRemoval: (caller, id) => () => ofOrg(caller, id),
    haltOrg: inOrg('haltOrg', 'no orphan of an org’s own agents is removed any more that is not approved'),
    resumeOrg: inOrg('resumeOrg', 'orphans of an org’s own agents may be removed again'),
  }
}
