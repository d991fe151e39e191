/** An operator's word on one command: load, decide, commit; again when someone else was faster. */
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may, scopeOf } from '../../domain/identity/caller.ts'
import type { CommandId, SessionId } from '../../domain/ids.ts'
import { type CommandChange, cancel, type Operation, redrive } from '../../domain/outbox/intervene.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import type { CommandStore } from '../../domain/ports/commands.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import { type IfMatch, isMatch, mismatch } from '../../domain/ports/if-match.ts'
import type { CommandView, SessionStore } from '../../domain/ports/sessions.ts'
import type { CommitConflict } from '../../domain/ports/unit-of-work.ts'
import type { Session } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { Answer, Application } from './application.ts'

export type ChangeCommandDeps = {
  readonly commands: CommandStore
  readonly sessions: Pick<SessionStore, 'loadMany'>
  readonly agents: Pick<AgentStore, 'get'>
  readonly wake: Wake
  readonly clock: Clock
  readonly timeouts: Timeouts
}

type Decider = (
  session: Session,
  command: CommandView,
  operation: Operation,
) => E.Either<ApplicationError, CommandChange>

const TRIES = 10

export const changeCommands = (
  deps: ChangeCommandDeps,
): Pick<Application['commands'], 'get' | 'redrive' | 'cancel'> => ({
  get: (caller, id) => async () => {
    const command = await deps.commands.get(scopeOf(caller), id)
    if (command === null) return E.left(notFound('command', id))
    return may(caller, 'read_org') ? E.right(command) : E.left(forbidden('read_org'))
  },
  redrive: (caller, id, ifMatch) => changeCommand(deps, caller, id, ifMatch, redrive),
  cancel: (caller, id, ifMatch) => changeCommand(deps, caller, id, ifMatch, cancel),
})

const changeCommand =
  (deps: ChangeCommandDeps, caller: Caller, id: CommandId, ifMatch: IfMatch, decide: Decider): Answer<CommandView> =>
  async () => {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const command = await deps.commands.get(scopeOf(caller), id)
      if (command === null) return E.left(notFound('command', id))
      if (!may(caller, 'operate')) return E.left(forbidden('operate'))
      if (!isMatch(ifMatch, command.revision)) return E.left(mismatch(command.revision))
      const [session] = await deps.sessions.loadMany([command.sessionId as SessionId])
      if (session === undefined) return E.left(notFound('command', id))
      const decided = decide(session, command, {
        actor: `user:${caller.userId}`,
        at: deps.clock.now(),
        timeouts: deps.timeouts,
      })
      if (E.isLeft(decided)) return decided
      const committed = await deps.commands.change(decided.right)
      if (E.isRight(committed)) {
        if (decided.right.becomes === 'pending') deps.wake.agents([command.agentId])
        return E.right((await deps.commands.get(scopeOf(caller), id)) ?? command)
      }
      if (committed.left._tag === 'NotReserved') return E.left(await noCapacity(deps, caller, committed.left))
    }
    return E.left({ _tag: 'Contended', what: `command ${id}` })
  }

const noCapacity = async (
  deps: ChangeCommandDeps,
  caller: Caller,
  { agentId }: Extract<CommitConflict, { _tag: 'NotReserved' }>,
): Promise<ApplicationError> => ({
  _tag: 'NoCapacity',
  agentId,
  cordoned: (await deps.agents.get(caller.orgId, agentId))?.cordoned ?? false,
})
