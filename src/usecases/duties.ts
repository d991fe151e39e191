/** What the server does by itself, a few rows at a time. Every run may be cut short anywhere and run again. */

import { type Agent, withOneMore } from '../../domain/agent/agent.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, OrgId, SessionId } from '../../domain/ids.ts'
import { slotFor } from '../../domain/placement/slot.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { DutyStore, GivenUp } from '../../domain/ports/duties.ts'
import type { Duty } from '../../domain/ports/jobs.ts'
import type { ReportStore } from '../../domain/ports/reports.ts'
import type { SessionStore } from '../../domain/ports/sessions.ts'
import type { UnitOfWork } from '../../domain/ports/unit-of-work.ts'
import { deadlinePassed } from '../../domain/session/deadline.ts'
import { placePending } from '../../domain/session/decide.ts'
import { undeliverable } from '../../domain/session/observe.ts'
import { isUnchanged } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'

export type DutyDeps = {
  readonly sessions: SessionStore
  readonly agents: AgentStore
  readonly reports: ReportStore
  readonly duties: DutyStore
  readonly unitOfWork: UnitOfWork
  readonly wake: Wake
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
}

const ROWS_AT_ONCE = 500

export const PLACEMENT = 'placement'

/** Commands whose back-off is over, that nobody is moving, or that will never arrive. */
export const sweep = (deps: DutyDeps): Duty => ({
  name: 'sweep',
  everyMs: 2_000,
  run: async () => {
    const over = await deps.duties.endBackOffs(ROWS_AT_ONCE)
    const givenUp = await deps.duties.giveUp(ROWS_AT_ONCE)
    for (const command of givenUp) await tellSession(deps, command)
    const waiting = await deps.duties.agentsWithDueCommands(10_000)
    deps.wake.agents([...new Set([...over, ...waiting])])
    return { backOffsOver: over.length, givenUp: givenUp.length, agentsWoken: waiting.length }
  },
})

const TRIES = 5

/** The session says that its command will not arrive; decided again when someone else was faster. */
const tellSession = async (deps: DutyDeps, command: GivenUp): Promise<void> => {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const [session] = await deps.sessions.loadMany([command.sessionId])
    if (session === undefined || !(await isStillGivenUp(deps, command))) return
    // The agent has not heard of it: that it never will is the server's word.
    const by = { actor: 'delivery', at: deps.clock.now() }
    const decision = undeliverable(session, command.generation, 'delivery_failed', command.error, by)
    if (E.isRight(await deps.unitOfWork.commit(decision))) return
  }
}

/** An operator may have sent it again: that raises the session's revision, so what is read after the row decides. */
const isStillGivenUp = async (deps: DutyDeps, command: GivenUp): Promise<boolean> =>
  (await deps.duties.givenUpOf([command.sessionId])).some(({ commandId }) => commandId === command.commandId)

/** Waiting statuses that outlived their deadline. */
export const deadlines = (deps: DutyDeps): Duty => ({
  name: 'deadlines',
  everyMs: 2_000,
  run: async () => {
    const overdue = await deps.sessions.overdue(deps.clock.now(), ROWS_AT_ONCE)
    const again: AgentId[] = []
    const inVain: SessionId[] = []
    for (const { session, agentReachable } of overdue) {
      const { decision, redeliver } = deadlinePassed(session, {
        at: deps.clock.now(),
        agentReachable,
        timeouts: deps.timeouts,
      })
      if (isUnchanged(decision)) continue
      const committed = await deps.unitOfWork.commit(decision)
      if (E.isLeft(committed) || !redeliver) continue
      const agents = await deps.reports.redeliver([session.id])
      if (agents.length === 0) inVain.push(session.id)
      again.push(...agents)
    }
    // Given up by a sweep that was killed before it could tell the session.
    for (const command of inVain.length === 0 ? [] : await deps.duties.givenUpOf(inVain))
      await tellSession(deps, command)
    deps.wake.agents(again)
    return { overdue: overdue.length, askedAgain: again.length }
  },
})

const PLACED_IN_A_TURN = 20

/** Pending sessions, by age and fairly between orgs, wherever there is room by now. */
export const placement = (deps: DutyDeps): Duty => ({
  name: PLACEMENT,
  everyMs: 1_000,
  run: async () => {
    const pending = await deps.sessions.pending(ROWS_AT_ONCE)
    // One reading of the agents serves a whole run; the commit says when it has become too old.
    const agents = new Map<OrgId, readonly Agent[]>()
    let placed = 0
    for (const [index, session] of pending.entries()) {
      // Where ten thousand agents are full, each takes a millisecond, and others wait for this thread too.
      if (index % PLACED_IN_A_TURN === PLACED_IN_A_TURN - 1) await new Promise((resolve) => setImmediate(resolve))
      const known = agents.get(session.orgId) ?? (await deps.agents.candidates(session.orgId))
      agents.set(session.orgId, known)
      const decision = placePending(session, slotFor(session, known), {
        actor: 'placement',
        at: deps.clock.now(),
        commandId: deps.ids.command(),
        timeouts: deps.timeouts,
      })
      if (isUnchanged(decision)) continue
      const committed = await deps.unitOfWork.commit(decision)
      if (E.isLeft(committed)) agents.delete(session.orgId)
      if (E.isLeft(committed) || decision.command === null) continue
      const { agentId } = decision.command
      agents.set(
        session.orgId,
        known.map((agent) => (agent.id === agentId ? withOneMore(agent, session.resources) : agent)),
      )
      placed += 1
      deps.wake.agents([agentId])
    }
    return { pending: pending.length, placed }
  },
})
