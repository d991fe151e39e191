/** POST /sessions/plan: a create up to the moment in which it would be written. Refused as that would be; nothing is taken. */
import { forbidden } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { may } from '../../domain/identity/caller.ts'
import { place } from '../../domain/placement/place.ts'
import { planOf } from '../../domain/placement/plan.ts'
import { constraintsOf } from '../../domain/placement/slot.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Application } from './application.ts'
import { refusalOf } from './create-session.ts'
import { type DraftDeps, draftSession } from './draft-session.ts'

export type PlanSessionDeps = DraftDeps & { readonly agents: Pick<AgentStore, 'candidates'> }

export const planSession =
  (deps: PlanSessionDeps): Application['sessions']['plan'] =>
  (caller, request) =>
  async () => {
    if (!may(caller, 'change_sessions')) return E.left(forbidden('change_sessions'))
    const drafted = await draftSession(deps, caller, request)
    if (E.isLeft(drafted)) return drafted
    const { draft } = drafted.right
    const constraints = constraintsOf(draft)
    const agents = await deps.agents.candidates(draft.orgId)
    const placement = place(constraints, agents)
    const refusal = refusalOf(draft, agents, placement)
    if (refusal !== null) return E.left(refusal)
    if (placement.kind === 'impossible') throw new Error('what is impossible was not refused')
    return E.right(planOf(constraints, agents, placement))
  }
