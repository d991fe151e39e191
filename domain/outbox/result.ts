/** What a command's result means for its outbox row and for its session. */
import type { CommandResult } from '../ports/delivery.ts'
import type { CommandFate } from '../ports/reports.ts'
import { deleted, observe, type ReportContext, type ReportOutcome, toldBy, undeliverable } from '../session/observe.ts'
import { reportOf } from '../session/report.ts'
import type { Decision, Session } from '../session/session.ts'
import { statusReasonOf } from '../session/status-reason.ts'
import type { ObservedStatus } from '../session/words.ts'

/** Retryable failures before a command is dead; the wait between them doubles from the first to the longest. */
export const MAX_FAILURES = 10
export const FIRST_RETRY_MS = 1_000
export const LONGEST_RETRY_MS = 300_000

/** Full jitter over an exponential ceiling (Brooker, "Exponential Backoff and Jitter", AWS 2015); `random` in [0, 1). */
export const retryInMs = (failures: number, random: number): number =>
  Math.max(FIRST_RETRY_MS / 2, Math.round(random * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures)))

export type ResultOutcome = { readonly outcome: ReportOutcome; readonly fate: CommandFate | null }

export const applyResult = (
  session: Session,
  result: CommandResult,
  context: ReportContext,
  attempt: { readonly failures: number; readonly random: number },
): ResultOutcome => {
  const outcome = outcomeOf(session, result, context, attempt.failures)
  const spoken = outcome.kind === 'decided' || outcome.kind === 'stale'
  if (!spoken) return { outcome, fate: null }
  return {
    outcome,
    fate: outcome.kind === 'decided' && saysOtherwise(session, result) ? OTHERWISE : fateOf(result, attempt),
  }
}

/**
 * Called applied, and something else is there: the agent has used this generation for something else, in a part of history
 * that a restored database has lost.
 */
const saysOtherwise = (session: Session, { outcome, observed }: CommandResult): boolean => {
  if (outcome !== 'applied' || observed === null) return false
  return session.desiredState !== 'running' && (observed.status === 'running' || observed.status === 'starting')
}

const OTHERWISE: CommandFate = { status: 'superseded', error: 'the agent has something else at this generation' }

/** What becomes of the command itself. */
export const fateOf = (
  result: CommandResult,
  attempt: { readonly failures: number; readonly random: number },
): CommandFate => {
  const error = result.error === null ? null : `${result.error.code}: ${result.error.message}`
  switch (result.outcome) {
    case 'applied':
      return { status: 'done', error: null }
    case 'superseded':
      return { status: 'superseded', error: null }
    case 'rejected':
      return { status: 'dead', error: error ?? 'rejected by the agent' }
    case 'failed':
      if (!retries(result)) return { status: 'failed', error: error ?? 'failed' }
      if (attempt.failures + 1 >= MAX_FAILURES)
        return { status: 'dead', error: `failed ${MAX_FAILURES} times; last: ${error ?? 'no reason given'}` }
      return { status: 'pending', error: error ?? 'failed', retryInMs: retryInMs(attempt.failures, attempt.random) }
  }
}

const retries = (result: CommandResult): boolean => result.error?.retryable === true

const outcomeOf = (
  session: Session,
  result: CommandResult,
  context: ReportContext,
  failures: number,
): ReportOutcome => {
  // Who may speak, and about which generation, is the same for every kind of result.
  const addressed = observe(
    session,
    { generation: result.generation, status: 'starting', reason: null, message: null, observed: {} },
    context,
  )
  if (addressed.kind !== 'decided') return addressed
  switch (result.outcome) {
    case 'applied':
      if (saysOtherwise(session, result)) return { kind: 'decided', decision: unwritten(session) }
      if (session.desiredState === 'deleted') return deleted(session, result.generation, context)
      return observe(session, reportOf(result.generation, result.observed ?? { status: statusOf(session) }), context)
    case 'superseded':
      return { kind: 'decided', decision: unwritten(session) }
    case 'rejected':
      return {
        kind: 'decided',
        decision: undeliverable(
          session,
          result.generation,
          'rejected',
          result.error?.message ?? 'the agent does not understand the command',
          toldBy(context),
        ),
      }
    case 'failed':
      return failedOutcome(session, result, context, failures)
  }
}

const failedOutcome = (
  session: Session,
  result: CommandResult,
  context: ReportContext,
  failures: number,
): ReportOutcome => {
  const message = result.error?.message ?? 'the agent gave no reason'
  if (retries(result)) {
    const decision =
      failures + 1 >= MAX_FAILURES
        ? undeliverable(
            session,
            result.generation,
            'delivery_failed',
            `failed ${MAX_FAILURES} times; last: ${message}`,
            toldBy(context),
          )
        : noted(session, `failed and is tried again: ${message}`, context)
    return { kind: 'decided', decision }
  }
  const reason = statusReasonOf(result.observed?.reason) ?? statusReasonOf(result.error?.code) ?? 'platform_error'
  if (session.desiredState === 'running' && !stillRuns(result)) {
    // The agent's last word on this start: nothing of it runs, so its capacity is free again.
    const said = {
      ...(result.observed ?? {}),
      status: 'failed' as const,
      reason,
      message: result.observed?.message ?? message,
    }
    return observe(session, reportOf(result.generation, said), context)
  }
  return { kind: 'decided', decision: undeliverable(session, result.generation, reason, message, toldBy(context)) }
}

/** It failed to make what was asked, but something of the session runs there: its capacity is not free. */
const stillRuns = ({ observed }: CommandResult): boolean =>
  observed?.status === 'running' || observed?.status === 'starting'

const statusOf = (session: Session): ObservedStatus =>
  session.desiredState === 'hibernated' ? 'hibernated' : session.desiredState === 'running' ? 'running' : 'stopped'

const unwritten = (session: Session): Decision => ({ previous: session, session, events: [], command: null })

const noted = (session: Session, message: string, context: ReportContext): Decision =>
  session.statusMessage === message
    ? unwritten(session)
    : {
        previous: session,
        session: { ...session, statusMessage: message, updatedAt: context.at, revision: session.revision + 1 },
        events: [],
        command: null,
      }
