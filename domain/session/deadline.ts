/**
 * What happens when a waiting status outlives its deadline. A deadline never destroys anything and never
 * releases capacity: it says what was waited for, and asks again where asking again helps.
 */
import { isLeaving, leavingWords, settled, unchanged } from './decision.ts'
import type { Decision, Session, SessionEvent } from './session.ts'
import { after, LONGEST_STOP_WAIT_MS, type Timeouts } from './timeouts.ts'
import type { StatusReason } from './words.ts'

export type DeadlineContext = { readonly at: Date; readonly agentReachable: boolean; readonly timeouts: Timeouts }

/** `redeliver`: the session's newest command is due again now. */
export type DeadlineDecision = { readonly decision: Decision; readonly redeliver: boolean }

export const deadlinePassed = (session: Session, context: DeadlineContext): DeadlineDecision => {
  if (session.deletedAt !== null || session.statusDeadline === null || session.statusDeadline > context.at)
    return { decision: unchanged(session), redeliver: false }
  switch (session.status) {
    case 'pending':
      return failed(
        session,
        'placement_timeout',
        `no agent could take it: ${session.statusMessage ?? 'no agent is enrolled'}`,
        context,
      )
    case 'scheduling':
      return context.agentReachable
        ? failed(session, 'start_timeout', `not running in time; last observed: ${lastObserved(session)}`, context)
        : failed(
            session,
            'agent_unreachable',
            `agent ${session.agentId ?? ''} cannot be reached; it is started when the agent is back`,
            context,
          )
    case 'hibernating':
    case 'stopping':
      return overdue(session, context.agentReachable ? 'stop_overdue' : 'agent_unreachable', context)
    case 'deleting':
      // Its command is no longer on its way: that is what has to be known, and why asking again helps.
      if (session.statusReason === 'delivery_failed') return stillUndeliverable(session, context)
      return overdue(session, context.agentReachable ? 'delete_overdue' : 'agent_unreachable', context)
    case 'running':
    case 'hibernated':
    case 'stopped':
    case 'failed':
      return { decision: unchanged(session), redeliver: false }
  }
}

const lastObserved = (session: Session): string => session.statusMessage ?? session.statusReason ?? 'nothing'

const failed = (
  session: Session,
  reason: StatusReason,
  message: string,
  context: DeadlineContext,
): DeadlineDecision => {
  const next: Session = {
    ...session,
    ...settled,
    status: 'failed',
    statusReason: reason,
    statusMessage: message,
    updatedAt: context.at,
  }
  return { decision: written(session, next, 'failed', context), redeliver: false }
}

const stillUndeliverable = (session: Session, context: DeadlineContext): DeadlineDecision => {
  const { decision } = overdue(session, 'delivery_failed', context)
  const next: Session = { ...decision.session, statusMessage: session.statusMessage }
  return { decision: written(session, next, 'deadline_passed', context), redeliver: false }
}

const overdue = (session: Session, reason: StatusReason, context: DeadlineContext): DeadlineDecision => {
  const waitedMs = session.waitingSince === null ? 0 : context.at.getTime() - session.waitingSince.getTime()
  // Intervals s, 2s, 4s … add up to (2^n - 1)s, so the next one is the whole wait so far plus s: doubling without a counter.
  const again = `asked again after ${Math.round(waitedMs / 1000)} s`
  const leaves = isLeaving(session)
  const next: Session = {
    ...session,
    statusReason: leaves ? 'draining' : reason,
    statusMessage: leaves ? `${leavingWords(session)}; ${again}: ${reason}` : again,
    statusDeadline: after(context.at, Math.min(waitedMs + context.timeouts.stopMs, LONGEST_STOP_WAIT_MS)),
    updatedAt: context.at,
  }
  return { decision: written(session, next, 'deadline_passed', context), redeliver: true }
}

const written = (
  previous: Session,
  next: Session,
  type: SessionEvent['type'],
  context: DeadlineContext,
): DeadlineDecision['decision'] => ({
  previous,
  session: { ...next, revision: previous.revision + 1 },
  events: [
    {
      type,
      generation: next.generation,
      actor: 'deadline',
      at: context.at,
      data: { status: next.status, reason: next.statusReason, message: next.statusMessage, waitedFor: previous.status },
    },
  ],
  command: null,
})
