/** Decisions that follow from an inventory rather than from a report. */

import type { WireReport } from '../ports/delivery.ts'
import { settled } from './decision.ts'
import type { ReportContext } from './observe.ts'
import { reportOf } from './report.ts'
import type { Decision, Session, SessionEvent } from './session.ts'
import { after, startTimeoutMs } from './timeouts.ts'
import type { DesiredState, SessionStatus } from './words.ts'

const written = (
  previous: Session,
  next: Session,
  event: Omit<SessionEvent, 'generation' | 'at'> | null,
  context: ReportContext,
): Decision => ({
  previous,
  session: { ...next, updatedAt: context.at, revision: previous.revision + 1 },
  events: event === null ? [] : [{ ...event, generation: next.generation, at: context.at }],
  command: null,
})

/** Gone from the platform though nobody asked, and its restart policy says to leave it at that. */
export const removedOutside = (session: Session, context: ReportContext): Decision =>
  leftRemoved(session, 'removed_outside', '', context)

export const leftRemoved = (
  session: Session,
  reason: 'removed_outside' | 'restart_limit',
  more: string,
  context: ReportContext,
): Decision =>
  written(
    session,
    {
      ...session,
      ...settled,
      status: 'failed',
      statusReason: reason,
      statusMessage: `agent ${context.agentId} no longer has it: it was removed outside of this service${more}`,
      reservedOn: null,
      observed: { ...session.observed, endpoint: null },
    },
    { type: 'failed', actor: 'reconciler', data: { status: 'failed', reason } },
    context,
  )

/** Nothing is left of it on the agent: what it still held there is free. */
export const released = (session: Session, context: ReportContext): Decision =>
  written(
    session,
    { ...session, reservedOn: null, ...(session.deletedAt === null ? {} : { observedGeneration: session.generation }) },
    null,
    context,
  )

export type TakenOver = WireReport & { readonly generation: number }

/** The database is older than the agent: the row takes over what is, and an older intent ends no work in use. */
export const restored = (session: Session, entry: TakenOver, context: ReportContext): Decision => {
  const message = `taken over from agent ${context.agentId}: the database was restored from an older state`
  const next = takenOver(session, entry, message, context)
  const { status, desiredState } = next
  return written(
    session,
    { ...next, version: session.version + 1 },
    { type: 'restored', actor: 'reconciler', data: { status, from: session.generation, desiredState } },
    context,
  )
}

/** PostgreSQL's `integer`, with room above for restarts. */
const MOST_INCARNATIONS = 2_000_000_000

/** The session as the agent has it, which knows of a later generation than we do. */
export const takenOver = (session: Session, entry: TakenOver, message: string, context: ReportContext): Session => {
  const desiredState: DesiredState =
    entry.status === 'hibernated' ? 'hibernated' : entry.status === 'stopped' ? 'stopped' : 'running'
  const status: SessionStatus = entry.status === 'starting' ? 'scheduling' : entry.status
  return {
    ...session,
    ...settled,
    generation: entry.generation,
    observedGeneration: entry.generation,
    desiredState,
    status,
    statusReason: 'restored',
    statusMessage: message,
    ...(status === 'scheduling'
      ? {
          waitingSince: context.at,
          statusDeadline: after(context.at, startTimeoutMs(session.spec, context.timeouts)),
        }
      : {}),
    // Each restart raised both. With as many as there can have been, the next one is none that the agent has made.
    incarnation: Math.min(MOST_INCARNATIONS, session.incarnation + Math.max(0, entry.generation - session.generation)),
    reservedOn: status === 'running' || status === 'scheduling' ? context.agentId : null,
    observed: {
      ...session.observed,
      endpoint: null,
      exitCode: null,
      exitSignal: null,
      ...reportOf(entry.generation, entry).observed,
      ...(status === 'failed' ? {} : { lastOutput: null }),
    },
  }
}
