/**
 * What agents say, applied in batches: load the sessions that a batch is about, decide each (pure), write
 * all of it in one statement. Rows that someone else changed meanwhile are decided again.
 */

import type { AgentId, CommandId, SessionId } from '../../domain/ids.ts'
import { applyResult } from '../../domain/outbox/result.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import type { CommandResult, ReportAnswer, WireReport } from '../../domain/ports/delivery.ts'
import type { CommandOutcome, ReportStore, ReportWrite } from '../../domain/ports/reports.ts'
import type { SessionStore } from '../../domain/ports/sessions.ts'
import { observe, type ReportOutcome } from '../../domain/session/observe.ts'
import { reportOf } from '../../domain/session/report.ts'
import { type Decision, isUnchanged, type Session } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'

export type AgentReport =
  | {
      readonly kind: 'status'
      readonly peer: Peer
      readonly sessionId: SessionId
      readonly generation: number
      readonly said: WireReport
    }
  | { readonly kind: 'result'; readonly peer: Peer; readonly sessionId: SessionId; readonly result: CommandResult }

export type ApplyReportsDeps = {
  readonly sessions: Pick<SessionStore, 'loadMany'>
  readonly reports: ReportStore
  readonly clock: Clock
  readonly timeouts: Timeouts
  readonly random: () => number
  /** Somebody gave capacity back: waiting sessions may be placed. */
  readonly capacityFreed: () => void
}

/** Rounds of deciding again before a report is given up; the inventory tells the same later. */
const ROUNDS = 10

export const applyReports =
  (deps: ApplyReportsDeps) =>
  async (items: readonly AgentReport[]): Promise<readonly ReportAnswer[]> => {
    const answers: ReportAnswer[] = items.map(() => 'accepted')
    let open = items.map((item, index) => ({ item, index }))
    for (let round = 0; round < ROUNDS && open.length > 0; round += 1) {
      const again = await applyRound(deps, open, answers)
      open = open.filter(({ index }) => again.has(index))
    }
    // Rejected as a whole: what was written already changes nothing when it is handed over again.
    if (open.length > 0) throw new Error(`${open.length} reports lost ${ROUNDS} races for their rows`)
    return answers
  }

type Numbered = { readonly item: AgentReport; readonly index: number }

const applyRound = async (
  deps: ApplyReportsDeps,
  open: readonly Numbered[],
  answers: ReportAnswer[],
): Promise<Set<number>> => {
  const failed = open.flatMap(({ item }) =>
    item.kind === 'result' && item.result.outcome === 'failed' ? [item.result.commandId] : [],
  )
  const [sessions, attempts] = await Promise.all([
    deps.sessions.loadMany([...new Set(open.map(({ item }) => item.sessionId))]),
    failed.length === 0 ? [] : deps.reports.attempts(failed),
  ])
  const rows = new Map(sessions.map((session) => [session.id, session]))
  const failures = new Map(attempts.map((attempt) => [attempt.commandId, attempt.failures]))
  const at = deps.clock.now()

  const again = new Set<number>()
  const folds = new Map<SessionId, Fold>()
  const epochs = new Map<AgentId, number>()
  for (const { item, index } of open) {
    const row = rows.get(item.sessionId)
    if (row === undefined) {
      answers[index] = 'not_yours'
      continue
    }
    // Two connections of one agent in one batch: one after the other, for the older is fenced by the agent's name.
    const epoch = epochs.get(item.peer.agentId) ?? item.peer.epoch
    epochs.set(item.peer.agentId, epoch)
    if (epoch !== item.peer.epoch) {
      again.add(index)
      continue
    }
    const fold = folds.get(item.sessionId) ?? startFold(item.peer, row)
    folds.set(item.sessionId, fold)
    // Two agents speak of one session in one batch: one after the other.
    if (fold.peer.agentId !== item.peer.agentId) again.add(index)
    else {
      answers[index] = foldIn(fold, item, { at, timeouts: deps.timeouts, failures, random: deps.random })
      fold.indexes.push(index)
    }
  }

  const writes = [...folds.values()].flatMap(writeOf)
  if (writes.length === 0) return again
  const { conflicts, fenced } = await deps.reports.write(writes)
  for (const fold of folds.values()) {
    if (fenced.has(fold.peer.agentId)) for (const index of fold.indexes) answers[index] = 'fenced'
    else if (conflicts.has(fold.first.id)) for (const index of fold.indexes) again.add(index)
    else if (fold.first.reservedOn !== null && fold.session.reservedOn === null) deps.capacityFreed()
  }
  return again
}

/** Several reports on one session, folded into one write. */
type Fold = {
  readonly peer: Peer
  readonly first: Session
  session: Session
  readonly events: Decision['events'][number][]
  readonly outcomes: CommandOutcome[]
  readonly indexes: number[]
}

const startFold = (peer: Peer, row: Session): Fold => ({
  peer,
  first: row,
  session: row,
  events: [],
  outcomes: [],
  indexes: [],
})

type FoldContext = {
  readonly at: Date
  readonly timeouts: Timeouts
  readonly failures: ReadonlyMap<CommandId, number>
  readonly random: () => number
}

const foldIn = (fold: Fold, item: AgentReport, context: FoldContext): ReportAnswer => {
  const said = { agentId: fold.peer.agentId, at: context.at, timeouts: context.timeouts }
  if (item.kind === 'status') return take(fold, observe(fold.session, reportOf(item.generation, item.said), said))
  const { result } = item
  const { outcome, fate } = applyResult(fold.session, result, said, {
    failures: context.failures.get(result.commandId) ?? 0,
    random: context.random(),
  })
  if (fate !== null) fold.outcomes.push({ commandId: result.commandId, fate })
  const answer = take(fold, outcome)
  // Nothing was sent that is newer than the row: a superseded command of its own generation tells of a lost history.
  return fate?.status === 'superseded' && outcome.kind === 'decided' ? 'outpaced' : answer
}

const take = (fold: Fold, outcome: ReportOutcome): ReportAnswer => {
  switch (outcome.kind) {
    case 'decided':
      fold.session = outcome.decision.session
      fold.events.push(...outcome.decision.events)
      return 'accepted'
    case 'stale':
      return 'accepted'
    case 'not_yours':
    case 'unexpected_generation':
      return outcome.kind
  }
}

const writeOf = (fold: Fold): readonly ReportWrite[] => {
  const decision: Decision = {
    previous: fold.first,
    session: fold.session === fold.first ? fold.first : { ...fold.session, revision: fold.first.revision + 1 },
    events: fold.events,
    command: null,
  }
  const changed = !isUnchanged(decision)
  if (!changed && fold.outcomes.length === 0) return []
  return [
    {
      peer: fold.peer,
      sessionId: fold.first.id,
      decision: changed ? decision : null,
      outcomes: fold.outcomes,
      doneUpTo: null,
    },
  ]
}
