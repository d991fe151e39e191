/** POST /agents/{id}/orphans/{sessionId}/adopt: an operator says whose it is, and it is a session again. */
import { forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import type { Caller } from '../../domain/identity/caller.ts'
import type { AgentId, SessionId } from '../../domain/ids.ts'
import type { AccessStore } from '../../domain/ports/access.ts'
import type { AdoptionStore } from '../../domain/ports/adoption.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { AskInventory } from '../../domain/ports/delivery.ts'
import { adopt } from '../../domain/session/adopt.ts'
import { type SessionView, sessionView } from '../../domain/session/session-view.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { AdoptOrphan, Answer } from './application.ts'
import { type DraftDeps, draftSession } from './draft-session.ts'
import { operatedAgent } from './operated-agent.ts'
import { mayOwn } from './templates.ts'

export type AdoptOrphanDeps = DraftDeps & {
  readonly adoption: AdoptionStore
  readonly agents: Pick<AgentStore, 'get'>
  readonly access: Pick<AccessStore, 'orgExists'>
  readonly askInventory: AskInventory
  readonly timeouts: Timeouts
  /** What a person has decided. */
  readonly told: (act: string, fields: { readonly [name: string]: unknown }) => void
}

export const adoptOrphan =
  (deps: AdoptOrphanDeps) =>
  (caller: Caller, id: AgentId, sessionId: SessionId, request: AdoptOrphan): Answer<SessionView> =>
  async () => {
    const operated = await operatedAgent(deps.agents, caller, id)
    if (E.isLeft(operated)) return operated
    const agent = operated.right
    const { orgId, userId, ...asked } = request
    if (!mayOwn(caller, orgId)) return E.left(forbidden('administer_installation'))
    if (orgId !== caller.orgId && !(await deps.access.orgExists(orgId))) return E.left(notFound('org', orgId))
    const drafted = await draftSession(deps, { orgId, userId }, asked)
    if (E.isLeft(drafted)) return drafted
    const { draft, secrets } = drafted.right

    const adoption = await deps.adoption.adopt(
      agent,
      sessionId,
      ({ orphan, removal, ...now }) =>
        adopt(
          draft,
          { orphan, removal, agent: { ...agent, ...now } },
          { actor: `user:${caller.userId}`, at: draft.createdAt, timeouts: deps.timeouts },
        ),
      secrets,
      orgId,
    )
    switch (adoption.kind) {
      case 'missing':
        return E.left(notFound('orphan', sessionId))
      case 'is_a_session':
        return E.left({ _tag: 'OrphanNotAdoptable', sessionId, why: 'is_a_session' })
      case 'refused':
        return E.left(adoption.refusal)
      case 'adopted': {
        deps.told('an orphan was adopted', { agentId: id, sessionId, orgId, userId, by: caller.userId })
        // Where it is served stands in no orphan's row; the agent says it.
        deps.askInventory(id)
        return E.right(sessionView(adoption.decision.session, agent.status !== 'offline'))
      }
    }
  }
