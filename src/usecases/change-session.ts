/** Load, decide, commit; again when someone else was faster. Every change of an existing session goes this way. */
import type { Agent } from '../../domain/agent/agent.ts'
import { type ApplicationError, forbidden, notFound, type TransitionRefused } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may, type Permission, scopeOf } from '../../domain/identity/caller.ts'
import type { SessionId } from '../../domain/ids.ts'
import { slotFor } from '../../domain/placement/slot.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { Keep } from '../../domain/ports/idempotency.ts'
import type { LoadedSession, SessionStore } from '../../domain/ports/sessions.ts'
import { isFinal, type UnitOfWork } from '../../domain/ports/unit-of-work.ts'
import {
  type Changes,
  forceRemove,
  hibernate,
  remove,
  restart,
  start,
  stop,
  update,
} from '../../domain/session/decide.ts'
import type { Intent } from '../../domain/session/decision.ts'
import type { Decision, Session } from '../../domain/session/session.ts'
import { type SessionView, sessionView } from '../../domain/session/session-view.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { SessionAction } from '../../domain/session/words.ts'
import type { Answer, IfMatch } from './application.ts'

export type ChangeSessionDeps = {
  readonly sessions: SessionStore
  readonly agents: AgentStore
  readonly unitOfWork: UnitOfWork
  readonly wake: Wake
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
}

type Decider = (session: Session, intent: Intent, agents: readonly Agent[]) => E.Either<TransitionRefused, Decision>
type Change = {
  readonly permission: Permission
  readonly ifMatch: IfMatch
  /** Whether deciding needs to know where a session can run. */
  readonly places: boolean
  readonly decide: Decider
}

/** Someone else changing the same session between our read and our write, so often in a row, is told to the caller. */
const TRIES = 10

const changeSession =
  (
    deps: ChangeSessionDeps,
    caller: Caller,
    id: SessionId,
    change: Change,
    keep?: Keep<SessionView>,
  ): Answer<SessionView> =>
  async () => {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const loaded = await deps.sessions.load(scopeOf(caller), id)
      const refusal = refuse(caller, id, change, loaded)
      if (refusal !== null || loaded === null) return E.left(refusal ?? notFound('session', id))
      const agents = change.places ? await deps.agents.candidates(loaded.session.orgId) : []
      const decided = change.decide(loaded.session, intentOf(deps, caller), agents)
      if (E.isLeft(decided)) return decided
      const { session, command } = decided.right
      const view = sessionView(session, reachable(loaded, session, agents))
      const was = { kind: 'changed', was: sessionView(loaded.session, loaded.agentReachable) } as const
      const committed = await deps.unitOfWork.commit(decided.right, { kept: keep?.(view, was) })
      if (E.isLeft(committed)) {
        if (isFinal(committed.left)) return E.left(committed.left)
        continue
      }
      if (command !== null) deps.wake.agents([command.agentId])
      return E.right(view)
    }
    return E.left({ _tag: 'Contended', what: `session ${id}` })
  }

const refuse = (
  caller: Caller,
  id: SessionId,
  change: Change,
  loaded: LoadedSession | null,
): ApplicationError | null => {
  if (loaded === null) return notFound('session', id)
  if (!may(caller, change.permission)) return forbidden(change.permission)
  const { version } = loaded.session
  return change.ifMatch === null || change.ifMatch.includes(version)
    ? null
    : { _tag: 'VersionMismatch', current: version }
}

const intentOf = (deps: ChangeSessionDeps, caller: Caller): Intent => ({
  actor: `user:${caller.userId}`,
  at: deps.clock.now(),
  commandId: deps.ids.command(),
  timeouts: deps.timeouts,
})

const reachable = (loaded: LoadedSession, session: Session, agents: readonly Agent[]): boolean =>
  session.agentId === loaded.session.agentId
    ? loaded.agentReachable
    : agents.some((agent) => agent.id === session.agentId && agent.status !== 'offline')

export const actOnSession =
  (deps: ChangeSessionDeps) =>
  (
    caller: Caller,
    id: SessionId,
    action: Exclude<SessionAction, 'delete'>,
    ifMatch: IfMatch,
    keep?: Keep<SessionView>,
  ): Answer<SessionView> =>
    changeSession(deps, caller, id, { permission: 'change_sessions', ifMatch, ...deciders[action] }, keep)

const deciders: {
  readonly [A in Exclude<SessionAction, 'delete'>]: { readonly places: boolean; readonly decide: Decider }
} = {
  start: {
    places: true,
    decide: (session, intent, agents) => start(session, 'start', slotFor(session, agents), intent),
  },
  wake: { places: true, decide: (session, intent, agents) => start(session, 'wake', slotFor(session, agents), intent) },
  restart: { places: true, decide: (session, intent, agents) => restart(session, slotFor(session, agents), intent) },
  hibernate: { places: false, decide: (session, intent) => hibernate(session, intent) },
  stop: { places: false, decide: (session, intent) => stop(session, intent) },
}

export const removeSession =
  (deps: ChangeSessionDeps) =>
  (caller: Caller, id: SessionId, force: boolean, ifMatch: IfMatch, keep?: Keep<SessionView>): Answer<SessionView> => {
    const decide: Decider = (session, intent) =>
      force ? E.right(forceRemove(session, intent)) : remove(session, intent)
    const permission = force ? 'operate' : 'change_sessions'
    return changeSession(deps, caller, id, { permission, ifMatch, places: false, decide }, keep)
  }

export const updateSession =
  (deps: ChangeSessionDeps) =>
  (
    caller: Caller,
    id: SessionId,
    changes: Changes,
    ifMatch: IfMatch,
    keep?: Keep<SessionView>,
  ): Answer<SessionView> => {
    const decide: Decider = (session, intent) => E.right(update(session, changes, intent))
    return changeSession(deps, caller, id, { permission: 'change_sessions', ifMatch, places: false, decide }, keep)
  }
