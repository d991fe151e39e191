/** Sessions that an agent no longer has though they should run: which are repaired, and which have been often enough. */
import type { SessionId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { ReportStore, ReportWrite } from '../../domain/ports/reports.ts'
import type { ReportContext } from '../../domain/session/observe.ts'
import { ranWell, repair, repairedOften, repairsAllowed } from '../../domain/session/repair.ts'
import type { Decision, Session } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'

export type RepairDeps = {
  readonly reports: Pick<ReportStore, 'repairsSoFar'>
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
}

export type Judged = { readonly repairs: readonly Decision[]; readonly writes: readonly ReportWrite[] }

/**
 * `removed` have policies that repair. The count is that of the very generation that was read: when another list has
 * repaired meanwhile, the decision made here meets another revision and is nothing.
 */
export const judgeRemoved =
  (deps: RepairDeps) =>
  async (peer: Peer, removed: readonly Session[], context: ReportContext): Promise<Judged> => {
    const counted = removed.filter((session) => !ranWell(session, context.at))
    const soFar: ReadonlyMap<SessionId, number> =
      counted.length === 0 ? new Map() : await deps.reports.repairsSoFar(counted)
    const repairs: Decision[] = []
    const writes: ReportWrite[] = []
    for (const session of removed) {
      const earlier = soFar.get(session.id) ?? 0
      if (earlier < repairsAllowed(session))
        repairs.push(
          repair(session, earlier, {
            actor: 'reconciler',
            at: deps.clock.now(),
            commandId: deps.ids.command(),
            timeouts: deps.timeouts,
          }),
        )
      else
        writes.push({
          peer,
          sessionId: session.id,
          decision: repairedOften(session, earlier, context),
          outcomes: [],
          doneUpTo: null,
        })
    }
    return { repairs, writes }
  }
