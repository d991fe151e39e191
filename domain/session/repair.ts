/**
 * What the server does about a session that its agent no longer has though it should run: the restart policy decides,
 * as it does for a process that ends. At most `maxRetries` repairs in a row, the first at once and each later one after
 * twice the wait; what a person asks begins anew (it is another generation), and so does a session that ran well.
 */
import {
  backoffMs,
  DEFAULT_MAX_RETRIES,
  HEALTHY_AFTER_MS,
  RESTART_BACKOFF,
  seconds,
  times,
} from '../template/restart.ts'
import { decided, type Intent, nothingLeft, raised } from './decision.ts'
import type { ReportContext } from './observe.ts'
import { leftRemoved } from './reconciled.ts'
import type { Decision, Session } from './session.ts'
import { after, startTimeoutMs } from './timeouts.ts'

/** 0: its policy says to leave it at that. */
export const repairsAllowed = ({ spec: { restart } }: Session): number =>
  restart === undefined || restart.policy === 'never' ? 0 : (restart.maxRetries ?? DEFAULT_MAX_RETRIES)

/** Whether it ran for so long that earlier repairs no longer count. */
export const ranWell = (session: Session, at: Date): boolean =>
  session.status === 'running' &&
  session.startedAt !== null &&
  at.getTime() - session.startedAt.getTime() >= HEALTHY_AFTER_MS

/** That it was removed is known from a list that comes late as it is: the first repair does not wait. */
const waitMs = (earlier: number): number => (earlier === 0 ? 0 : backoffMs(earlier, RESTART_BACKOFF))

/** The intent acts anew, for the `earlier + 1`st time in a row. */
export const repair = (session: Session, earlier: number, intent: Intent): Decision => {
  const count = { repair: earlier + 1, of: repairsAllowed(session) }
  const delayMs = waitMs(earlier)
  const next: Session = {
    ...raised(session, intent, 'running'),
    status: 'scheduling',
    statusReason: 'restarting',
    statusMessage: `repaired (${count.repair} of ${count.of})${delayMs > 0 ? `, starting in ${seconds(delayMs)}` : ''}: it was removed outside of this service`,
    waitingSince: intent.at,
    statusDeadline: after(intent.at, delayMs + startTimeoutMs(session.spec, intent.timeouts)),
    observed: nothingLeft(session),
  }
  const decision = decided(session, next, 'repair_requested', intent, 'start_session', {
    reason: 'removed_outside',
    ...count,
  })
  const { command } = decision
  if (command === null) return decision
  // The count goes with the command of its generation: another intent has a command, and a count, of its own.
  return { ...decision, command: { ...command, payload: { ...command.payload, repair: count.repair }, delayMs } }
}

/** Gone once more, after as many repairs as its policy allows. */
export const repairedOften = (session: Session, earlier: number, context: ReportContext): Decision =>
  leftRemoved(
    session,
    'restart_limit',
    `; it was repaired ${times(earlier)}, as often as its restart policy allows`,
    context,
  )
