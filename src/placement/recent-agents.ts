/**
 * The agents of an org as they were a moment ago. Placement is advice (the commit reserves the capacity, and
 * refuses an agent that is full, cordoned or gone), so a burst of creates need not read the agents once each.
 * Whoever is about to refuse or to wait because of it reads afresh first.
 */
import type { Agent, Resources } from '../../domain/agent/agent.ts'
import type { AgentId, OrgId } from '../../domain/ids.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'

export type RecentAgents = {
  readonly recent: (orgId: OrgId) => Promise<readonly Agent[]>
  readonly fresh: (orgId: OrgId) => Promise<readonly Agent[]>
  /** What was just placed counts at once: otherwise a burst would all go to the agent that was emptiest. */
  readonly placed: (orgId: OrgId, agentId: AgentId, resources: Resources) => void
  /** Counts a placement as under way while it is being committed. */
  readonly whileCommitting: <A>(agentId: AgentId, commit: () => Promise<A>) => Promise<A>
  readonly underWay: ReadonlyMap<AgentId, number>
}

const RECENT_MS = 200
const ORGS_AT_MOST = 1_000

type Reading = { agents: Promise<readonly Agent[]>; readonly at: number }

export const createRecentAgents = (
  store: Pick<AgentStore, 'candidates'>,
  now = () => performance.now(),
): RecentAgents => {
  const readings = new Map<OrgId, Reading>()

  const read = (orgId: OrgId): Promise<readonly Agent[]> => {
    const reading: Reading = { agents: store.candidates(orgId), at: now() }
    if (readings.size >= ORGS_AT_MOST) readings.clear()
    readings.set(orgId, reading)
    reading.agents.catch(() => {
      if (readings.get(orgId) === reading) readings.delete(orgId)
    })
    return reading.agents
  }

  const underWay = new Map<AgentId, number>()

  return {
    underWay,
    whileCommitting: async (agentId, commit) => {
      underWay.set(agentId, (underWay.get(agentId) ?? 0) + 1)
      try {
        return await commit()
      } finally {
        const left = (underWay.get(agentId) ?? 1) - 1
        if (left > 0) underWay.set(agentId, left)
        else underWay.delete(agentId)
      }
    },
    recent: (orgId) => {
      const known = readings.get(orgId)
      return known !== undefined && now() - known.at < RECENT_MS ? known.agents : read(orgId)
    },
    fresh: read,
    placed: (orgId, agentId, resources) => {
      const known = readings.get(orgId)
      if (known === undefined) return
      known.agents = known.agents.then((agents) =>
        agents.map((agent) => (agent.id === agentId ? withOneMore(agent, resources) : agent)),
      )
      // It may be under way, and fail, without anybody who waits for what is added to it here.
      known.agents.catch(() => {})
    },
  }
}

const withOneMore = (agent: Agent, { cpuMillis, memoryMib }: Resources): Agent => ({
  ...agent,
  allocated: {
    sessions: agent.allocated.sessions + 1,
    cpuMillis: agent.allocated.cpuMillis + cpuMillis,
    memoryMib: agent.allocated.memoryMib + memoryMib,
  },
})
