/** POST /sessions: template, parameters and agents → placement → one statement. */
import type { Agent } from '../../domain/agent/agent.ts'
import { type ApplicationError, forbidden } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import { type Placement, place } from '../../domain/placement/place.ts'
import { constraintsOf, slotOf } from '../../domain/placement/slot.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { Keep } from '../../domain/ports/idempotency.ts'
import { isFinal, type UnitOfWork } from '../../domain/ports/unit-of-work.ts'
import { create } from '../../domain/session/decide.ts'
import type { Slot } from '../../domain/session/decision.ts'
import type { Session } from '../../domain/session/session.ts'
import { type SessionView, sessionView } from '../../domain/session/session-view.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { RecentAgents } from '../placement/recent-agents.ts'
import type { Answer, CreateSession } from './application.ts'
import { type DraftDeps, type DraftedSession, draftSession } from './draft-session.ts'

export type CreateSessionDeps = DraftDeps & {
  readonly agents: RecentAgents
  readonly unitOfWork: UnitOfWork
  readonly wake: Wake
  readonly timeouts: Timeouts
}

/** Lost races for an agent's room before the session waits in the queue instead. */
const PLACEMENT_TRIES = 5

export const createSession =
  (deps: CreateSessionDeps) =>
  (caller: Caller, request: CreateSession, keep?: Keep<SessionView>): Answer<SessionView> =>
  async () => {
    if (!may(caller, 'change_sessions')) return E.left(forbidden('change_sessions'))
    const drafted = await draftSession(deps, caller, request)
    return E.isLeft(drafted) ? drafted : commitPlaced(deps, drafted.right, keep)
  }

const commitPlaced = async (
  deps: CreateSessionDeps,
  { draft, secrets }: DraftedSession,
  keep?: Keep<SessionView>,
): Promise<E.Either<ApplicationError, SessionView>> => {
  for (let attempt = 1; ; attempt += 1) {
    const placement = await placementOf(deps, draft, attempt === 1 ? 'recent' : 'fresh')
    if (E.isLeft(placement)) return placement
    const { chosen, end } = placement.right
    try {
      const slot: Slot = attempt > PLACEMENT_TRIES ? lostEveryRace : slotOf(chosen)
      const decision = create(draft, slot, {
        actor: `user:${draft.userId}`,
        at: draft.createdAt,
        commandId: deps.ids.command(),
        timeouts: deps.timeouts,
      })
      const view = sessionView(decision.session, slot.kind === 'placed')
      const committed = await deps.unitOfWork.commit(decision, { secrets, kept: keep?.(view) })
      if (E.isLeft(committed)) {
        if (isFinal(committed.left)) return E.left(committed.left)
        if (attempt > 2 * PLACEMENT_TRIES) return E.left({ _tag: 'Contended', what: 'the new session' })
        continue
      }
      if (slot.kind === 'placed') {
        deps.agents.placed(draft.orgId, slot.agentId, draft.resources)
        deps.wake.agents([slot.agentId])
      }
      return E.right(view)
    } finally {
      end()
    }
  }
}

type Chosen = {
  readonly chosen: Placement
  /** The choice counts for others until this is called. */
  readonly end: () => void
}

/** Nobody is refused, and nothing waits, because of figures that are a moment old. */
const placementOf = async (
  deps: CreateSessionDeps,
  draft: Session,
  figures: 'recent' | 'fresh',
): Promise<E.Either<ApplicationError, Chosen>> => {
  const agents = await deps.agents[figures](draft.orgId)
  const placement = place({ ...constraintsOf(draft), underWay: deps.agents.underWay }, agents)
  if (placement.kind === 'placed') return E.right({ chosen: placement, end: deps.agents.begin(placement.agent.id) })
  if (figures === 'recent') return placementOf(deps, draft, 'fresh')
  const refusal = refusalOf(draft, agents, placement)
  return refusal === null ? E.right({ chosen: placement, end: () => {} }) : E.left(refusal)
}

/** What cannot be created as things are enrolled, or null. */
export const refusalOf = (draft: Session, agents: readonly Agent[], placement: Placement): ApplicationError | null => {
  if (placement.kind === 'placed') return null
  const asked = draft.placement.agentId
  if (asked !== null && !agents.some((agent) => agent.id === asked)) return { _tag: 'UnknownAgent', agentId: asked }
  if (placement.kind !== 'impossible') return null
  return agents.length === 0
    ? { _tag: 'NoAgent', detail: `no agent is enrolled for org ${draft.orgId}, and none is shared`, refusals: [] }
    : noAgent(draft, placement)
}

const lostEveryRace: Slot = {
  kind: 'waiting',
  reason: 'no_capacity',
  message: 'other sessions took the room just then; it is placed as soon as there is some',
}

const noAgent = (draft: Session, placement: Extract<Placement, { kind: 'impossible' }>): ApplicationError => ({
  _tag: 'NoAgent',
  detail: `no enrolled agent can ever run this: the template is for ${draft.placement.platforms.join(', ')}${
    draft.placement.platform === null ? '' : `, ${draft.placement.platform} was asked for`
  }${draft.placement.region === null ? '' : ` in region ${draft.placement.region}`}${
    draft.placement.agentLabels === undefined ? '' : ` on an agent with ${inWords(draft.placement.agentLabels)}`
  }`,
  refusals: placement.refusals,
})

const inWords = (labels: { readonly [name: string]: string }): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')
