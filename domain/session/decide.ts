/**
 * What each intent means for a session in any state (the table of `docs/sessions.md`). Pure: times
 * and ids come with the intent. Every intent that changes something raises `generation`; what is so
 * already, and can still come about, is left alone.
 */
import type { TransitionRefused } from '../errors.ts'
import { E } from '../fp.ts'
import {
  commandFor,
  decided,
  event,
  type Intent,
  isLeaving,
  raised,
  type Slot,
  settled,
  slotData,
  tombstone,
  toRunning,
  unchanged,
  waiting,
} from './decision.ts'
import { type Decision, isPlaced, type Session } from './session.ts'
import { type SessionAction, sessionActions } from './words.ts'

type Decided = E.Either<TransitionRefused, Decision>

/** A new session, placed or waiting for an agent. `draft` has everything that no placement decides. */
export const create = (draft: Session, slot: Slot, intent: Intent): Decision => {
  const started = toRunning(draft, slot, intent)
  return {
    previous: null,
    session: started,
    events: [
      event('created', started, intent, {
        template: started.template.name,
        templateVersion: started.template.version,
        ...slotData(slot),
      }),
    ],
    command: commandFor(started, 'start_session', intent),
  }
}

/** `start` and `wake` are one intent; only the command's name tells them apart. */
export const start = (session: Session, action: 'start' | 'wake', slot: Slot, intent: Intent): Decided => {
  if (session.status === 'deleting') return refused(session, action)
  const underway = session.status === 'pending' || session.status === 'scheduling' || session.status === 'running'
  if (session.desiredState === 'running' && underway) return E.right(unchanged(session))
  const wakes = session.desiredState === 'hibernated'
  const next = toRunning(raised(session, intent, 'running'), slot, intent)
  return E.right(
    decided(
      session,
      next,
      wakes ? 'wake_requested' : 'start_requested',
      intent,
      wakes ? 'wake_session' : 'start_session',
      slotData(slot),
    ),
  )
}

export const hibernate = (session: Session, intent: Intent): Decided => {
  if (session.status === 'deleting') return refused(session, 'hibernate')
  // What is about to be started elsewhere stays at rest now: the intent of the drain is over with its generation.
  const leaves = isLeaving(session)
  if (session.desiredState === 'hibernated' && session.status !== 'failed' && !leaves)
    return E.right(unchanged(session))
  if (!leaves && !hibernates(session)) return refused(session, 'hibernate')
  const next = waiting(
    raised(session, intent, 'hibernated'),
    'hibernating',
    'by_request',
    intent,
    intent.timeouts.stopMs,
  )
  return E.right(decided(session, next, 'hibernate_requested', intent, 'hibernate_session'))
}

/** What runs can hibernate, and what failed to. */
const hibernates = (session: Session): boolean =>
  isPlaced(session) &&
  (session.status === 'running' || (session.status === 'failed' && session.desiredState === 'hibernated'))

export const stop = (session: Session, intent: Intent): Decided => {
  if (session.status === 'deleting') return refused(session, 'stop')
  if (session.desiredState === 'stopped' && session.status !== 'failed') return E.right(unchanged(session))
  const next = raised(session, intent, 'stopped')
  if (!isPlaced(session)) {
    const stopped: Session = {
      ...next,
      ...settled,
      status: 'stopped',
      statusReason: 'by_request',
      observedGeneration: next.generation,
    }
    return E.right(decided(session, stopped, 'stop_requested', intent, null))
  }
  return E.right(
    decided(
      session,
      waiting(next, 'stopping', 'by_request', intent, intent.timeouts.stopMs),
      'stop_requested',
      intent,
      'stop_session',
    ),
  )
}

/** Always acts: the agent makes a running resource of an older incarnation anew. */
export const restart = (session: Session, slot: Slot, intent: Intent): Decided => {
  if (session.status !== 'running' && session.status !== 'failed') return refused(session, 'restart')
  const next = toRunning({ ...raised(session, intent, 'running'), incarnation: session.incarnation + 1 }, slot, intent)
  return E.right(decided(session, next, 'restart_requested', intent, 'start_session', slotData(slot)))
}

/** Accepted in every state. What no agent has ever seen ends at once. */
export const remove = (session: Session, intent: Intent): Decided => {
  const underway = session.status === 'deleting' && session.statusReason !== 'delivery_failed'
  if (underway) return E.right(unchanged(session))
  const next = raised(session, intent, 'deleted')
  if (!isPlaced(session)) return E.right(decided(session, tombstone(next, intent), 'delete_requested', intent, null))
  return E.right(
    decided(
      session,
      waiting(next, 'deleting', 'by_request', intent, intent.timeouts.stopMs),
      'delete_requested',
      intent,
      'delete_session',
    ),
  )
}

/**
 * An operator does not wait for the agent: the row ends now, the agent is told when it is back.
 * Capacity stays held until that agent says that nothing runs.
 */
export const forceRemove = (session: Session, intent: Intent): Decision => {
  const next = tombstone(raised(session, intent, 'deleted'), intent)
  return decided(session, next, 'delete_requested', intent, isPlaced(session) ? 'delete_session' : null, {
    force: true,
  })
}

const WORDS_FRESH_MS = 10_000

/** A pending session for which there is now a place. The generation was raised when it was asked for. */
export const placePending = (session: Session, slot: Slot, intent: Intent): Decision => {
  const next = toRunning({ ...session, updatedAt: intent.at }, slot, intent)
  if (slot.kind === 'waiting') {
    // The figures in the words change with every create elsewhere: they are brought up to date now and then only.
    const fresh = intent.at.getTime() - session.updatedAt.getTime() < WORDS_FRESH_MS
    if (session.statusReason === slot.reason && (fresh || session.statusMessage === slot.message))
      return unchanged(session)
    // Still waiting: since when and until when do not move.
    const still: Session = {
      ...next,
      waitingSince: session.waitingSince,
      statusDeadline: session.statusDeadline,
      revision: session.revision + 1,
    }
    return {
      previous: session,
      session: still,
      events: session.statusReason === slot.reason ? [] : [event('waiting', still, intent, slotData(slot))],
      command: null,
    }
  }
  return decided(session, next, 'placed', intent, 'start_session', slotData(slot))
}

export type Changes = Partial<Pick<Session, 'name' | 'labels' | 'idleTimeoutSeconds' | 'maxDurationSeconds'>>

/** PATCH: raises the version, not the generation, and tells no agent. */
export const update = (session: Session, changes: Changes, intent: Intent): Decision => {
  if (Object.keys(changes).length === 0) return unchanged(session)
  const next: Session = {
    ...session,
    ...changes,
    version: session.version + 1,
    revision: session.revision + 1,
    updatedAt: intent.at,
  }
  return { previous: session, session: next, events: [event('updated', next, intent, { ...changes })], command: null }
}

/** What a caller may ask of a session as it is: shown with every refusal. */
export const allowedActions = (session: Session): readonly SessionAction[] =>
  sessionActions.filter((action) => allows(session, action))

const allows = (session: Session, action: SessionAction): boolean => {
  if (session.status === 'deleting') return action === 'delete'
  switch (action) {
    case 'hibernate':
      return hibernates(session) || (session.desiredState === 'hibernated' && session.status !== 'failed')
    case 'restart':
      return session.status === 'running' || session.status === 'failed'
    case 'start':
    case 'wake':
    case 'stop':
    case 'delete':
      return true
  }
}

const refused = (session: Session, action: SessionAction): E.Either<TransitionRefused, never> =>
  E.left({ _tag: 'TransitionRefused', action, state: session.status, allowedActions: allowedActions(session) })
