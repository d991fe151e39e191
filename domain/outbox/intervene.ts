/**
 * What an operator may do to a command whose fate is not what it should be: send one again that was given up,
 * or take back one that has not been carried out. Neither raises the generation: what is asked stays the same.
 */
import type { CommandNotCancellable, CommandNotRedrivable, CommandOutdated } from '../errors.ts'
import { E } from '../fp.ts'
import type { CommandView } from '../ports/sessions.ts'
import { isLeaving } from '../session/decision.ts'
import { hasCarriedOut, undeliverable } from '../session/observe.ts'
import type { Decision, Session, SessionEvent } from '../session/session.ts'
import { after, startTimeoutMs, type Timeouts } from '../session/timeouts.ts'
import type { SessionStatus } from '../session/words.ts'

export type Operation = { readonly actor: string; readonly at: Date; readonly timeouts: Timeouts }

/** Both at once, or neither: the command is as it was read, and the session too. */
export type CommandChange = {
  readonly command: CommandView
  readonly becomes: 'pending' | 'cancelled'
  /** Why it was cancelled; null: what was said of its last failure stays. */
  readonly error: string | null
  readonly decision: Decision
}

export const redrive = (
  session: Session,
  command: CommandView,
  operation: Operation,
): E.Either<CommandNotRedrivable | CommandOutdated, CommandChange> => {
  if (command.status !== 'dead' && command.status !== 'expired')
    return E.left({ _tag: 'CommandNotRedrivable', commandId: command.id, status: command.status })
  if (!isNewest(session, command))
    return E.left({
      _tag: 'CommandOutdated',
      commandId: command.id,
      generation: command.generation,
      sessionGeneration: session.generation,
    })
  const next = awaited(session, operation)
  return E.right({
    command,
    becomes: 'pending',
    error: null,
    decision: written(session, next, 'command_redriven', operation, { ...of(command), was: command.status }),
  })
}

export const cancel = (
  session: Session,
  command: CommandView,
  operation: Operation,
): E.Either<CommandNotCancellable, CommandChange> => {
  // Nothing else would ever remove what the agent has of a session that is gone.
  if (command.status !== 'pending' || session.deletedAt !== null)
    return E.left({ _tag: 'CommandNotCancellable', commandId: command.id, status: command.status })
  const message = `${command.type} was cancelled by ${operation.actor} before it was carried out`
  // A waiting status without a command would have no end: it ends here, as when a command cannot be delivered.
  const next = isNewest(session, command)
    ? undeliverable(session, command.generation, 'delivery_failed', message, operation).session
    : session
  return E.right({
    command,
    becomes: 'cancelled',
    error: `cancelled by ${operation.actor}`,
    decision: written(session, next, 'command_cancelled', operation, of(command)),
  })
}

const isNewest = (session: Session, command: CommandView): boolean =>
  session.generation === command.generation && session.agentId === command.agentId

const of = (command: CommandView) => ({ commandId: command.id, command: command.type, agentId: command.agentId })

/** Waiting anew for what is asked; what is so already, or is gone, waits for nothing. */
const awaited = (session: Session, { actor, at, timeouts }: Operation): Session => {
  if (session.deletedAt !== null) return session
  // A drain's rest is the operator's wish now, and nothing starts it elsewhere: it must not say that something will.
  if (hasCarriedOut(session))
    return isLeaving(session) ? { ...session, statusReason: 'by_request', statusMessage: null } : session
  const running = session.desiredState === 'running'
  return {
    ...session,
    status: waitsAs[session.desiredState],
    statusReason: 'queued_for_agent',
    statusMessage: `sent again by ${actor}; on its way to agent ${session.agentId ?? ''}`,
    waitingSince: at,
    statusDeadline: after(at, running ? startTimeoutMs(session.spec, timeouts) : timeouts.stopMs),
    reservedOn: running ? session.agentId : session.reservedOn,
    observed: {
      ...session.observed,
      ...(running ? { endpoint: null, exitCode: null, exitSignal: null } : {}),
      lastOutput: null,
    },
  }
}

const waitsAs: { readonly [D in Session['desiredState']]: SessionStatus } = {
  running: 'scheduling',
  hibernated: 'hibernating',
  stopped: 'stopping',
  deleted: 'deleting',
}

/** The revision rises even where nothing else of the row changes: whoever read it with the other command decides again. */
const written = (
  previous: Session,
  next: Session,
  type: SessionEvent['type'],
  { actor, at }: Operation,
  data: SessionEvent['data'],
): Decision => {
  const session: Session = { ...next, updatedAt: at, revision: previous.revision + 1 }
  const { generation, status, statusReason: reason, statusMessage: message } = session
  return {
    previous,
    session,
    events: [{ type, generation, actor, at, data: { status, reason, message, ...data } }],
    command: null,
  }
}
