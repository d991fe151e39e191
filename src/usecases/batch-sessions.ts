/**
 * POST /sessions/batch: one intent for many sessions. Each is decided on as it would be alone, and answered for itself; all
 * that changes is committed together, so that a count that is wrong changes nothing, and one key of idempotency keeps all of it.
 */
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may, scopeOf } from '../../domain/identity/caller.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { Keep } from '../../domain/ports/idempotency.ts'
import type { DecidedBatch, Selection, SessionBatches } from '../../domain/ports/session-batches.ts'
import type { LoadedSession } from '../../domain/ports/sessions.ts'
import { hibernate, remove, stop } from '../../domain/session/decide.ts'
import { type Decision, isUnchanged } from '../../domain/session/session.ts'
import { sessionView } from '../../domain/session/session-view.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { BatchAction } from '../../domain/session/words.ts'
import type { Application, BatchRequest, BatchResult } from './application.ts'

export type BatchSessionsDeps = {
  readonly batches: SessionBatches
  readonly wake: Wake
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
}

/** What one transaction may hold locked, for about a second at most. */
export const MOST_AT_ONCE = 1_000

const deciders = { stop, hibernate, delete: remove } as const satisfies { readonly [A in BatchAction]: unknown }

export const batchSessions =
  (deps: BatchSessionsDeps): Application['sessions']['batch'] =>
  (caller, request, keep) =>
  async () => {
    if (!may(caller, 'change_sessions')) return E.left(forbidden('change_sessions'))
    const which = distinct(request.which)
    // What is named is counted before anything is looked for.
    const refusal = 'ids' in which ? countedWrong(which.ids.length, request) : null
    if (refusal !== null) return E.left(refusal)
    const changed = await deps.batches.change(scopeOf(caller), which, MOST_AT_ONCE, (found) => {
      const wrong = 'ids' in which ? null : countedWrong(found.length, request)
      return wrong === null ? E.right(decideAll(deps, caller, request, which, found, keep)) : E.left(wrong)
    })
    if (E.isLeft(changed)) return changed
    deps.wake.agents(changed.right.agentIds)
    return E.right(changed.right.result)
  }

/** Named twice it is still one. */
const distinct = (which: BatchRequest['which']): Selection =>
  'ids' in which ? { ids: [...new Set(which.ids)] } : which

const countedWrong = (counted: number, { which, expectedCount }: BatchRequest): ApplicationError | null => {
  if (counted > MOST_AT_ONCE)
    return { _tag: 'BatchTooLarge', limit: MOST_AT_ONCE, counted: 'ids' in which ? counted : null }
  return expectedCount === undefined || counted === expectedCount
    ? null
    : { _tag: 'UnexpectedCount', counted, expected: expectedCount }
}

type Written = { readonly result: BatchResult; readonly agentIds: Parameters<Wake['agents']>[0] }

const decideAll = (
  deps: BatchSessionsDeps,
  caller: Caller,
  { action }: BatchRequest,
  which: Selection,
  found: readonly LoadedSession[],
  keep: Keep<BatchResult> | undefined,
): DecidedBatch<Written> => {
  const at = deps.clock.now()
  const decisions: Decision[] = []
  const outcomes = new Map<SessionId, Omit<BatchResult['items'][number], 'id'>>()
  for (const { session, agentReachable } of found) {
    const intent = { actor: `user:${caller.userId}`, at, commandId: deps.ids.command(), timeouts: deps.timeouts }
    const decided = deciders[action](session, intent)
    if (E.isRight(decided) && !isUnchanged(decided.right)) decisions.push(decided.right)
    outcomes.set(session.id, {
      outcome: E.isLeft(decided) ? decided : E.right(sessionView(decided.right.session, agentReachable)),
      was: sessionView(session, agentReachable),
    })
  }
  const ids = 'ids' in which ? which.ids : [...outcomes.keys()]
  const result: BatchResult = {
    items: ids.map((id) => ({ id, ...(outcomes.get(id) ?? { outcome: E.left(notFound('session', id)), was: null }) })),
  }
  const agentIds = [...new Set(decisions.flatMap(({ command }) => (command === null ? [] : [command.agentId])))]
  return { decisions, result: { result, agentIds }, kept: keep?.(result) }
}
