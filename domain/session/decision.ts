/** What decisions are made of: the next generation of a session, what it waits for, its event and its command. */
import type { AgentId, CommandId } from '../ids.ts'
import type { Refusal } from '../placement/refusal.ts'
import type { AgentCommand, Decision, Session, SessionEvent } from './session.ts'
import { after, startTimeoutMs, type Timeouts } from './timeouts.ts'
import type { CommandType, DesiredState, SessionEventType, StatusReason } from './words.ts'

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
  | {
      readonly kind: 'waiting'
      readonly reason: StatusReason
      readonly message: string
      /** Agent by agent, where several were looked at. */
      readonly refusals?: readonly Refusal[]
    }

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

export const waiting = (
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

/**
 * Put to rest by the drain of its agent, to be started elsewhere. Its reason says so from the drain's intent until something
 * else is asked, whatever is observed meanwhile: with another reason its user's wish that it stays at rest would look granted
 * already, and the drain would start it all the same.
 */
export const isLeaving = ({ desiredState, status, statusReason }: Session): boolean =>
  desiredState === 'hibernated' && (status === 'hibernating' || status === 'hibernated') && statusReason === 'draining'

export const leavingWords = ({ agentId }: Pick<Session, 'agentId'>): string =>
  `agent ${agentId ?? ''} is drained: it is started elsewhere as soon as it rests`

/** What was told of a process that is not the one asked for now. */
export const nothingLeft = ({ observed }: Session): Session['observed'] => ({
  ...observed,
  endpoint: null,
  exitCode: null,
  exitSignal: null,
  lastOutput: null,
})

export const toRunning = (session: Session, slot: Slot, intent: Intent): Session => {
  const common: Session = {
    ...session,
    waitingSince: intent.at,
    refusals: [],
    observed: nothingLeft(session),
  }
  if (slot.kind === 'waiting')
    return {
      ...common,
      status: 'pending',
      statusReason: slot.reason,
      statusMessage: slot.message,
      refusals: slot.refusals ?? [],
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

export const slotData = (slot: Slot): { readonly [name: string]: unknown } =>
  slot.kind === 'placed' ? { agentId: slot.agentId } : { reason: slot.reason, message: slot.message }

export const event = (
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

export const commandFor = (session: Session, type: CommandType, intent: Intent): AgentCommand | null =>
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
