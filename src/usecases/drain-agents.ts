/**
 * Agents that are drained are emptied a few sessions at a time, by a duty: what is under way is in the database, so that
 * whichever server is there goes on with it. A session leaves only when there is room for it elsewhere.
 */
import { type Agent, withOneMore } from '../../domain/agent/agent.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, OrgId, SessionId } from '../../domain/ids.ts'
import { place } from '../../domain/placement/place.ts'
import { constraintsAmong, slotFor } from '../../domain/placement/slot.ts'
import type { AgentDrains, Move } from '../../domain/ports/agent-drains.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { Duty } from '../../domain/ports/jobs.ts'
import type { Intent } from '../../domain/session/decision.ts'
import { arrive, leave, moveStage } from '../../domain/session/move.ts'
import type { Session } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'

export type DrainAgentsDeps = {
  readonly drains: AgentDrains
  readonly agents: Pick<AgentStore, 'candidates'>
  readonly wake: Wake
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
}

export const AGENT_DRAINS = 'agent_drains'

/** People notice each of them: few are away at once, whatever goes wrong meanwhile. */
const MOVES_AT_ONCE = 20
const ROWS_AT_ONCE = 200
const AGENTS_AT_ONCE = 1_000

export const drainAgents = (deps: DrainAgentsDeps): Duty => ({
  name: AGENT_DRAINS,
  everyMs: 1_000,
  run: async () => {
    const known = agentsOf(deps)
    let arrived = 0
    for (const move of await deps.drains.moves(ROWS_AT_ONCE)) if (await goOn(deps, known, move)) arrived += 1
    let left = 0
    const draining = await deps.drains.underWay(AGENTS_AT_ONCE)
    for (const { agentId, moving } of draining) left += await empty(deps, known, agentId, MOVES_AT_ONCE - moving)
    return { draining: draining.length, left, arrived }
  },
})

type Known = {
  readonly of: (orgId: OrgId) => Promise<readonly Agent[]>
  readonly placed: (session: Session, agentId: AgentId) => void
  readonly outdated: (orgId: OrgId) => void
}

/** One reading serves a whole run; what it places itself it counts, and the commit says when it has become too old. */
const agentsOf = ({ agents }: DrainAgentsDeps): Known => {
  const read = new Map<OrgId, readonly Agent[]>()
  return {
    of: async (orgId) => {
      const known = read.get(orgId) ?? (await agents.candidates(orgId))
      read.set(orgId, known)
      return known
    },
    // A shared agent is in the readings of several orgs.
    placed: ({ resources }, agentId) => {
      for (const [orgId, known] of read)
        read.set(
          orgId,
          known.map((agent) => (agent.id === agentId ? withOneMore(agent, resources) : agent)),
        )
    },
    outdated: (orgId) => void read.delete(orgId),
  }
}

const intentOf = (deps: DrainAgentsDeps): Intent => ({
  actor: 'drain',
  at: deps.clock.now(),
  commandId: deps.ids.command(),
  timeouts: deps.timeouts,
})

/** One that was put to rest: started elsewhere as soon as it rests. True: it was. */
const goOn = async (deps: DrainAgentsDeps, known: Known, move: Move): Promise<boolean> => {
  const { session } = move
  const stage = moveStage(session, move.generation)
  if (stage === 'over') await deps.drains.forget(move)
  if (stage !== 'rests') return false
  // Also where there is no room any more: it waits like any other then, with its reason and its deadline.
  const decided = arrive(session, slotFor(session, await known.of(session.orgId)), intentOf(deps))
  if (E.isLeft(decided)) return false
  const committed = await deps.drains.arrive(decided.right)
  const { command } = decided.right
  if (E.isLeft(committed)) known.outdated(session.orgId)
  else if (command !== null) {
    known.placed(session, command.agentId)
    deps.wake.agents([command.agentId])
  }
  return E.isRight(committed)
}

/** How many have begun to leave. */
const empty = async (deps: DrainAgentsDeps, known: Known, agentId: AgentId, free: number): Promise<number> => {
  let places = free
  let left = 0
  let after: SessionId | null = null
  // All of them are looked at: those that cannot leave must not be in the way of those that can.
  while (places > 0) {
    const some: readonly Session[] = await deps.drains.leaving(agentId, after, ROWS_AT_ONCE)
    for (const session of some) {
      if (places === 0) break
      if (!(await leaveNow(deps, known, agentId, session))) continue
      places -= 1
      left += 1
    }
    after = some.at(-1)?.id ?? null
    if (some.length < ROWS_AT_ONCE) break
  }
  return left
}

const leaveNow = async (deps: DrainAgentsDeps, known: Known, agentId: AgentId, session: Session): Promise<boolean> => {
  const agents = await known.of(session.orgId)
  // What cannot be told to rest would be neither here nor there.
  if (agents.find(({ id }) => id === agentId)?.status === 'offline') return false
  const others = agents.filter(({ id }) => id !== agentId)
  const placement = place(constraintsAmong(session, agents), others)
  if (placement.kind !== 'placed') return false
  const committed = await deps.drains.leave(leave(session, intentOf(deps)))
  if (E.isLeft(committed)) return false
  // Its place is not taken yet; whoever leaves after it in this run looks for another.
  known.placed(session, placement.agent.id)
  deps.wake.agents([agentId])
  return true
}
