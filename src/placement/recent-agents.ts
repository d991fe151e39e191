/**
 * The agents of an org as they were a moment ago. Placement is advice (the commit reserves the capacity, and
 * refuses an agent that is full, cordoned or gone), so a burst of creates need not read the agents once each.
 * Whoever is about to refuse or to wait because of it reads afresh first.
 */
import { type Agent, type Resources, withOneMore } from '../../domain/agent/agent.ts'
import type { AgentId, OrgId } from '../../domain/ids.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'

export type RecentAgents = {
  readonly recent: (orgId: OrgId) => Promise<readonly Agent[]>
  readonly fresh: (orgId: OrgId) => Promise<readonly Agent[]>
  /** What was just placed counts at once: otherwise a burst would all go to the agent that was emptiest. */
  readonly placed: (orgId: OrgId, agentId: AgentId, resources: Resources) => void
  /**
   * Counts a placement as under way from the moment in which it is chosen until it is committed, or not: those who choose in the
   * same moment see each other. The answer ends it, once.
   */
  readonly begin: (agentId: AgentId) => () => void
  readonly underWay: ReadonlyMap<AgentId, number>
}

const RECENT_MS = 200
/** Ten thousand agents take a while to read: reading them is never more than a part of what a replica does. */
const READING_SHARE = 0.1
/** Not longer than this, however long it took: a database that stood still for a while says nothing about the agents. */
const RECENT_AT_MOST_MS = 2_000
const UNDER_WAY = Number.POSITIVE_INFINITY

type Reading = {
  readonly agents: Promise<readonly Agent[]>
  /** Until when it is recent. */
  until: number
  readonly add: (agentId: AgentId, resources: Resources) => void
}

export const createRecentAgents = (
  store: Pick<AgentStore, 'candidates'>,
  now = () => performance.now(),
): RecentAgents => {
  const readings = new Map<OrgId, Reading>()
  /** Those who ask for a fresh reading while another one is under way share the one that comes after it. */
  const next = new Map<OrgId, Promise<readonly Agent[]>>()

  const forgetOld = (): void => {
    const moment = now()
    for (const [orgId, { until }] of readings) if (until < moment) readings.delete(orgId)
  }

  const read = (orgId: OrgId): Promise<readonly Agent[]> => {
    forgetOld()
    const began = now()
    const reading = withAdditions(store.candidates(orgId))
    readings.set(orgId, reading)
    reading.agents.then(
      () => {
        const took = now() - began
        reading.until = began + Math.max(RECENT_MS, Math.min(took / READING_SHARE, took + RECENT_AT_MOST_MS))
      },
      () => {
        if (readings.get(orgId) === reading) readings.delete(orgId)
      },
    )
    return reading.agents
  }

  const readNext = (orgId: OrgId, current: Reading): Promise<readonly Agent[]> => {
    const after = (): Promise<readonly Agent[]> => {
      next.delete(orgId)
      return read(orgId)
    }
    const reading = current.agents.then(after, after)
    next.set(orgId, reading)
    return reading
  }

  const underWay = new Map<AgentId, number>()

  return {
    underWay,
    begin: (agentId) => {
      underWay.set(agentId, (underWay.get(agentId) ?? 0) + 1)
      return () => {
        const left = (underWay.get(agentId) ?? 1) - 1
        if (left > 0) underWay.set(agentId, left)
        else underWay.delete(agentId)
      }
    },
    recent: (orgId) => {
      const known = readings.get(orgId)
      return known !== undefined && now() < known.until ? known.agents : read(orgId)
    },
    fresh: (orgId) => {
      const known = readings.get(orgId)
      if (known === undefined || known.until !== UNDER_WAY) return read(orgId)
      return next.get(orgId) ?? readNext(orgId, known)
    },
    placed: (orgId, agentId, resources) => readings.get(orgId)?.add(agentId, resources),
  }
}

/** What is added is seen by those who got the agents before as well: each looks at them only when it has got them. */
const withAdditions = (reading: Promise<readonly Agent[]>): Reading => {
  let agents: Agent[] | null = null
  const positions = new Map<AgentId, number>()
  const early: (readonly [AgentId, Resources])[] = []
  const add = (agentId: AgentId, resources: Resources): void => {
    if (agents === null) return void early.push([agentId, resources])
    const position = positions.get(agentId)
    const agent = position === undefined ? undefined : agents[position]
    if (position !== undefined && agent !== undefined) agents[position] = withOneMore(agent, resources)
  }
  const arrived = reading.then((read) => {
    agents = [...read]
    for (const [position, { id }] of read.entries()) positions.set(id, position)
    for (const [agentId, resources] of early) add(agentId, resources)
    return agents
  })
  return { agents: arrived, until: UNDER_WAY, add }
}
