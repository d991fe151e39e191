/**
 * What each intent means for a session in any state (the table of `docs/sessions.md`). Pure: times
 * and ids come with the intent. Every intent that changes something raises `generation`; what is so
 * already, and can still come about, is left alone.
 */
import type { TransitionRefused } from '../errors.ts'
import { E } from '../fp.ts'
import type { AgentId, CommandId } from '../ids.ts'
import { type AgentCommand, type Decision, isPlaced, type Session, type SessionEvent } from './session.ts'
import { after, startTimeoutMs, type Timeouts } from './timeouts.ts'
import {
  type CommandType,
  type DesiredState,
  type SessionAction,
  type SessionEventType,
  type StatusReason,
  sessionActions,
} from './words.ts'

export type Intent = {
  readonly actor: string
  readonly at: Date
  /** The id of the command that follows, if one does. */
  readonly commandId: CommandId
  readonly timeouts: Timeouts
}

/** Where a session that is to run can run now (`placement/slot.ts`). */
export type Slot =
  | { readonly kind: 'placed'; readonly agentId: AgentId; readonly platform: string; readonly region: string | null }
  | { readonly kind: 'waiting'; readonly reason: StatusReason; readonly message: string }

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
  if (session.desiredState === 'hibernated' && session.status !== 'failed') return E.right(unchanged(session))
  if (!hibernates(session)) return refused(session, 'hibernate')
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

export const unchanged = (session: Session): Decision => ({ previous: session, session, events: [], command: null })

/** What a settled row no longer has: a wait. */
export const settled = { statusReason: null, statusMessage: null, waitingSince: null, statusDeadline: null } as const

/** The next generation of a session. What an earlier one was observed to be no longer describes it. */
export const raised = (session: Session, intent: Intent, desiredState: DesiredState): Session => ({
  ...session,
  desiredState,
  generation: session.generation + 1,
  version: session.version + 1,
  updatedAt: intent.at,
})

const waiting = (
  session: Session,
  status: 'hibernating' | 'stopping' | 'deleting',
  reason: StatusReason,
  intent: Intent,
  timeoutMs: number,
): Session => ({
  ...session,
  status,
  statusReason: reason,
  statusMessage: null,
  waitingSince: intent.at,
  statusDeadline: after(intent.at, timeoutMs),
  // Shown of a failed session only.
  observed: { ...session.observed, lastOutput: null },
})

/** What was told of a process that is not the one asked for now. */
export const nothingLeft = ({ observed }: Session): Session['observed'] => ({
  ...observed,
  endpoint: null,
  exitCode: null,
  exitSignal: null,
  lastOutput: null,
})

const toRunning = (session: Session, slot: Slot, intent: Intent): Session => {
  const common: Session = {
    ...session,
    waitingSince: intent.at,
    observed: nothingLeft(session),
  }
  if (slot.kind === 'waiting')
    return {
      ...common,
      status: 'pending',
      statusReason: slot.reason,
      statusMessage: slot.message,
      statusDeadline: after(intent.at, intent.timeouts.pendingMs),
    }
  return {
    ...common,
    status: 'scheduling',
    statusReason: 'queued_for_agent',
    statusMessage: `on its way to agent ${slot.agentId}`,
    statusDeadline: after(intent.at, startTimeoutMs(session.spec, intent.timeouts)),
    agentId: slot.agentId,
    platform: slot.platform,
    region: slot.region,
    reservedOn: slot.agentId,
  }
}

export const tombstone = (session: Session, intent: Pick<Intent, 'at'>): Session => ({
  ...session,
  ...settled,
  status: 'deleting',
  statusReason: 'by_request',
  deletedAt: intent.at,
  observed: { ...session.observed, endpoint: null, lastOutput: null },
  ...(session.agentId === null ? { observedGeneration: session.generation } : {}),
})

const slotData = (slot: Slot): { readonly [name: string]: unknown } =>
  slot.kind === 'placed' ? { agentId: slot.agentId } : { reason: slot.reason, message: slot.message }

const event = (
  type: SessionEventType,
  session: Session,
  intent: Pick<Intent, 'actor' | 'at'>,
  data: { readonly [name: string]: unknown } = {},
): SessionEvent => ({
  type,
  generation: session.generation,
  actor: intent.actor,
  at: intent.at,
  data: { status: session.status, ...data },
})

const commandFor = (session: Session, type: CommandType, intent: Intent): AgentCommand | null =>
  session.agentId === null || session.status === 'pending'
    ? null
    : {
        commandId: intent.commandId,
        agentId: session.agentId,
        type,
        generation: session.generation,
        payload: { state: session.desiredState, incarnation: session.incarnation },
      }

export const decided = (
  previous: Session,
  next: Session,
  type: SessionEventType,
  intent: Intent,
  command: CommandType | null,
  data: { readonly [name: string]: unknown } = {},
): Decision => {
  const session: Session = { ...next, revision: previous.revision + 1 }
  const ended = session.deletedAt !== null && previous.deletedAt === null
  return {
    previous,
    session,
    events: [event(type, session, intent, data), ...(ended ? [event('deleted', session, intent, data)] : [])],
    command: command === null ? null : commandFor(session, command, intent),
  }
}
