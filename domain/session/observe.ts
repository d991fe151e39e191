/**
 * What an agent's report does to a session. The caller has checked who speaks (agent and epoch, again in
 * the statement that writes); here it is decided what the report means. Reports never change what was
 * asked: not `desiredState`, not `generation`, not `version`.
 */
import type { AgentId } from '../ids.ts'
import { canonicalJson } from '../template/template.ts'
import { isLeaving, leavingWords, settled, unchanged } from './decision.ts'
import { type Decision, isUnchanged, type Observed, type Session, type SessionEvent } from './session.ts'
import { after, startTimeoutMs, type Timeouts } from './timeouts.ts'
import type { NoteType, ObservedStatus, SessionEventType, StatusReason } from './words.ts'

export type Report = {
  readonly generation: number
  readonly status: ObservedStatus
  readonly reason: StatusReason | null
  readonly message: string | null
  /** Only what the agent mentioned: what it did not say stays as it was. */
  readonly observed: Partial<Observed>
  /** For the history; of the session nothing changes by it. */
  readonly note?: { readonly type: NoteType; readonly message: string }
}

export type ReportContext = { readonly agentId: AgentId; readonly at: Date; readonly timeouts: Timeouts }

/** Who says something of a session, and when. */
export type Told = Pick<SessionEvent, 'actor' | 'at'>

export const toldBy = ({ agentId, at }: ReportContext): Told => ({ actor: `agent:${agentId}`, at })

/** `stale`: about an earlier generation, says nothing now. `unexpected`: about one that nobody asked for. */
export type ReportOutcome =
  | { readonly kind: 'decided'; readonly decision: Decision }
  | { readonly kind: 'stale' }
  | { readonly kind: 'unexpected_generation' }
  | { readonly kind: 'not_yours' }

export const observe = (session: Session, report: Report, context: ReportContext): ReportOutcome => {
  if (session.agentId !== context.agentId && session.reservedOn !== context.agentId) return { kind: 'not_yours' }
  if (report.generation > session.generation) return { kind: 'unexpected_generation' }
  if (report.generation < session.generation) return { kind: 'stale' }
  return { kind: 'decided', decision: noted(decideReport(session, report, context), report, context) }
}

const noted = (decision: Decision, { note }: Report, context: ReportContext): Decision => {
  if (note === undefined) return decision
  const { session } = decision
  const event: SessionEvent = {
    type: note.type,
    generation: session.generation,
    ...toldBy(context),
    data: { message: note.message },
  }
  // The time of a row is the time of its events.
  const touched = isUnchanged(decision) ? { revision: session.revision + 1, updatedAt: context.at } : {}
  return { ...decision, session: { ...session, ...touched }, events: [...decision.events, event] }
}

const decideReport = (session: Session, report: Report, context: ReportContext): Decision => {
  switch (session.desiredState) {
    case 'running':
      return whileRunningIsAsked(session, report, context)
    case 'hibernated':
    case 'stopped':
      return whileRestIsAsked(session, report, context)
    case 'deleted':
      // What is left before the deletion took effect says nothing new; `deleted` ends it.
      return unchanged(session)
  }
}

const whileRunningIsAsked = (session: Session, report: Report, context: ReportContext): Decision => {
  switch (report.status) {
    case 'starting':
      return starting(session, report, context)
    case 'running':
      return settle(session, 'running', report, context, {
        ...settled,
        // How it came to be so is news until something else is asked: an inventory that says the same is not.
        statusReason: report.reason === 'restored' ? 'restored' : null,
        statusMessage: report.message,
        startedAt: session.status === 'running' ? session.startedAt : context.at,
        reservedOn: context.agentId,
      })
    case 'failed':
      return settle(session, 'failed', report, context, {
        ...settled,
        statusReason: report.reason ?? 'exited_early',
        statusMessage: report.message,
        reservedOn: null,
      })
    case 'stopped':
    case 'hibernated':
      return settle(session, report.status, report, context, {
        ...settled,
        statusReason: report.reason ?? 'exited_early',
        statusMessage: report.message,
        reservedOn: null,
      })
  }
}

/** Stopped and hibernated both mean that nothing runs; which of the two it is called follows what was asked. */
const whileRestIsAsked = (session: Session, report: Report, context: ReportContext): Decision => {
  const rest = session.desiredState === 'hibernated' ? 'hibernated' : 'stopped'
  switch (report.status) {
    case 'stopped':
    case 'hibernated':
      return settle(session, rest, report, context, {
        ...settled,
        // Who has asked for it no agent knows: its own reason is that it was asked to.
        statusReason: isLeaving(session) ? 'draining' : (report.reason ?? 'by_request'),
        statusMessage: report.message ?? (isLeaving(session) ? leavingWords(session) : null),
        reservedOn: null,
      })
    case 'failed':
      return settle(session, 'failed', report, context, {
        ...settled,
        statusReason: report.reason ?? 'platform_error',
        statusMessage: report.message,
        reservedOn: null,
      })
    case 'starting':
    case 'running': {
      const message = report.message ?? session.statusMessage
      if (message === session.statusMessage) return unchanged(session)
      return written(session, { ...session, statusMessage: message, updatedAt: context.at }, [])
    }
  }
}

const starting = (session: Session, report: Report, context: ReportContext): Decision => {
  const reason: StatusReason = report.reason ?? (session.status === 'running' ? 'restarting' : 'starting')
  // It was not being waited for, so it is from now on.
  const restarts = session.status !== 'scheduling' && session.status !== 'pending'
  // A pull that advances earns more time; merely repeating oneself does not.
  const advances = reason === 'pulling_image' && report.message !== session.statusMessage
  const next: Session = {
    ...session,
    status: 'scheduling',
    statusReason: reason,
    statusMessage: report.message,
    waitingSince: restarts ? context.at : session.waitingSince,
    statusDeadline:
      restarts || advances ? after(context.at, startTimeoutMs(session.spec, context.timeouts)) : session.statusDeadline,
    reservedOn: context.agentId,
    observed: merged(session.observed, { endpoint: null, ...report.observed, lastOutput: null }),
    updatedAt: context.at,
  }
  const isNoNews = session.status === next.status && session.statusReason === next.statusReason
  if (isNoNews && session.statusMessage === next.statusMessage) return unchanged(session)
  return written(session, next, isNoNews ? [] : [reported('starting', next, context)])
}

const settle = (
  session: Session,
  status: 'running' | 'hibernated' | 'stopped' | 'failed',
  report: Report,
  context: ReportContext,
  row: Partial<Session>,
): Decision => {
  const observed = merged(
    session.observed,
    status === 'running'
      ? { exitCode: null, exitSignal: null, ...report.observed, lastOutput: null }
      : { endpoint: null, ...report.observed, ...(status === 'failed' ? {} : { lastOutput: null }) },
  )
  const next: Session = {
    ...session,
    ...row,
    status,
    observed,
    observedGeneration: report.generation,
    updatedAt: context.at,
  }
  if (isSame(session, next)) return unchanged(session)
  const isNoNews =
    session.status === next.status &&
    session.statusReason === next.statusReason &&
    session.observedGeneration === next.observedGeneration &&
    session.observed.restarts === next.observed.restarts
  return written(session, next, isNoNews ? [] : [reported(status, next, context)])
}

/** The agent confirms that nothing is left: the row becomes a tombstone, or a forced one lets its capacity go. */
export const deleted = (session: Session, generation: number, context: ReportContext): ReportOutcome => {
  if (session.agentId !== context.agentId && session.reservedOn !== context.agentId) return { kind: 'not_yours' }
  if (generation > session.generation) return { kind: 'unexpected_generation' }
  if (generation < session.generation || session.desiredState !== 'deleted') return { kind: 'stale' }
  const gone: Session = {
    ...session,
    ...settled,
    status: 'deleting',
    statusReason: 'by_request',
    observedGeneration: generation,
    reservedOn: null,
    deletedAt: session.deletedAt ?? context.at,
    observed: { ...session.observed, endpoint: null, lastOutput: null },
    updatedAt: context.at,
  }
  if (isSame(session, gone)) return { kind: 'decided', decision: unchanged(session) }
  return {
    kind: 'decided',
    decision: written(session, gone, session.deletedAt === null ? [reported('deleted', gone, context)] : []),
  }
}

/** What is asked was observed: whatever becomes of its command, it is so. */
export const hasCarriedOut = (session: Session): boolean =>
  session.status === session.desiredState && session.observedGeneration === session.generation

/** A command that will not be delivered any more, or that the agent calls final. `by`: whoever says so. */
export const undeliverable = (
  session: Session,
  generation: number,
  reason: StatusReason,
  message: string,
  by: Told,
): Decision => {
  if (generation !== session.generation || session.deletedAt !== null) return unchanged(session)
  // The agent has shown that it has done it: only the news of that was late.
  if (hasCarriedOut(session)) return unchanged(session)
  const deleting = session.desiredState === 'deleted'
  const next: Session = {
    ...session,
    status: deleting ? 'deleting' : 'failed',
    statusReason: deleting ? 'delivery_failed' : reason,
    statusMessage: message,
    waitingSince: deleting ? session.waitingSince : null,
    statusDeadline: deleting ? session.statusDeadline : null,
    updatedAt: by.at,
  }
  return written(session, next, [told(deleting ? 'delivery_failed' : 'failed', next, by)])
}

const merged = (before: Observed, said: Partial<Observed>): Observed => ({ ...before, ...said })

const isSame = (a: Session, b: Session): boolean =>
  a.status === b.status &&
  a.statusReason === b.statusReason &&
  a.statusMessage === b.statusMessage &&
  a.observedGeneration === b.observedGeneration &&
  a.reservedOn === b.reservedOn &&
  a.deletedAt === b.deletedAt &&
  // The order of an endpoint's fields is not the same in a row and in a frame.
  canonicalJson(a.observed) === canonicalJson(b.observed)

const reported = (type: SessionEventType, session: Session, context: ReportContext): SessionEvent =>
  told(type, session, toldBy(context))

const told = (type: SessionEventType, session: Session, { actor, at }: Told): SessionEvent => ({
  type,
  generation: session.generation,
  actor,
  at,
  data: {
    status: session.status,
    ...(session.statusReason === null ? {} : { reason: session.statusReason }),
    ...(session.statusMessage === null ? {} : { message: session.statusMessage }),
    ...(session.observed.exitCode === null ? {} : { exitCode: session.observed.exitCode }),
    ...(session.observed.exitSignal === null ? {} : { exitSignal: session.observed.exitSignal }),
    ...(session.observed.restarts === 0 ? {} : { restarts: session.observed.restarts }),
  },
})

const written = (previous: Session, next: Session, events: readonly SessionEvent[]): Decision => ({
  previous,
  session: { ...next, revision: previous.revision + 1 },
  events,
  command: null,
})
