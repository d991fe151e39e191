/**
 * Where a session goes: constraints → candidates → best. Pure, and only advice: the statement that
 * commits the session reserves the capacity, and a lost race comes back here with fresh figures.
 */
import type { Agent, Resources } from '../agent/agent.ts'
import type { AgentId, OrgId } from '../ids.ts'

export type Constraints = {
  readonly orgId: OrgId
  /** Platforms that the template can run on. */
  readonly platforms: readonly string[]
  readonly platform: string | null
  readonly region: string | null
  readonly agentId: AgentId | null
  readonly resources: Resources
  /** Breaks ties between equally loaded agents, so that concurrent creates do not all pick the first. */
  readonly tieBreaker: string
  /**
   * Placements on their way to being committed, by agent. Each holds its agent's row until then, so that of
   * equally loaded agents the one with the fewest is the quickest.
   */
  readonly underWay?: ReadonlyMap<AgentId, number>
}

export const refusalReasons = [
  'unknown_agent',
  'other_agent_asked',
  'other_org',
  'other_platform',
  'other_region',
  'agent_cordoned',
  'no_agent_online',
  'agent_degraded',
  'no_capacity',
] as const
export type RefusalReason = (typeof refusalReasons)[number]

export type Refusal = { readonly agentId: string; readonly reason: RefusalReason; readonly detail: string }

export type Placement =
  | { readonly kind: 'placed'; readonly agent: Agent }
  /** Nobody can take it now, but somebody fits: it waits. */
  | ({ readonly kind: 'waiting'; readonly reason: WaitingReason } & Refused)
  /** Nobody could ever take it as things are enrolled: the caller must change something. */
  | ({ readonly kind: 'impossible' } & Refused)

/** The first of them in words, and how many there are. */
export type Refused = { readonly refusals: readonly Refusal[]; readonly refused: number }

export type WaitingReason = 'no_agent_online' | 'no_capacity' | 'agent_cordoned'

/** Refusals that time alone does not cure. */
const lasting: readonly RefusalReason[] = [
  'unknown_agent',
  'other_agent_asked',
  'other_org',
  'other_platform',
  'other_region',
]

export const place = (constraints: Constraints, agents: readonly Agent[]): Placement => {
  const best = bestOf(constraints, sampleOf(constraints, agents)) ?? bestOf(constraints, agents)
  if (best !== null) return { kind: 'placed', agent: best }
  const reasons = new Map<RefusalReason, number>()
  for (const agent of agents) {
    const reason = objection(constraints, agent)
    if (reason !== null) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  reasons.delete('other_org')
  const refused = {
    refusals: refusalsOf(constraints, agents, MOST_IN_WORDS),
    refused: [...reasons.values()].reduce((sum, count) => sum + count, 0),
  }
  const passing = [...reasons.keys()].filter((reason) => !lasting.includes(reason))
  return passing.length === 0
    ? { kind: 'impossible', ...refused }
    : { kind: 'waiting', reason: waitingReason(passing), ...refused }
}

/** Whoever reads why each of ten thousand agents is full is helped by a few of them and the number. */
const MOST_IN_WORDS = 20

/** Why agents cannot take it. What belongs to another org is none of the caller's business, not even as a refusal. */
export const refusalsOf = (
  constraints: Constraints,
  agents: readonly Agent[],
  atMost = Number.POSITIVE_INFINITY,
): readonly Refusal[] => {
  const refusals: Refusal[] = []
  for (const agent of agents) {
    if (refusals.length >= atMost) break
    const refusal = refuse(constraints, agent)
    if (refusal !== null && refusal.reason !== 'other_org') refusals.push(refusal)
  }
  return refusals
}

/** Why this agent cannot take it, or null when it can. */
export const refuse = (constraints: Constraints, agent: Agent): Refusal | null => {
  const reason = objection(constraints, agent)
  return reason === null ? null : { agentId: agent.id, reason, detail: inWords(reason, constraints, agent) }
}

const objection = (constraints: Constraints, agent: Agent): RefusalReason | null => {
  const { platform, region, agentId, resources } = constraints
  if (agent.orgId !== null && agent.orgId !== constraints.orgId) return 'other_org'
  if (agentId !== null && agent.id !== agentId) return 'other_agent_asked'
  if (!constraints.platforms.includes(agent.platform)) return 'other_platform'
  if (platform !== null && agent.platform !== platform) return 'other_platform'
  // The region of an agent that never connected is not known yet, so it may still turn out to fit.
  if (region !== null && agent.region !== region && !(agent.region === null && agent.capacity === null))
    return 'other_region'
  if (agent.cordoned) return 'agent_cordoned'
  if (agent.status === 'offline' || agent.capacity === null) return 'no_agent_online'
  if (agent.status === 'degraded') return 'agent_degraded'
  return shortOf(resources, agent) === null ? null : 'no_capacity'
}

const inWords = (reason: RefusalReason, constraints: Constraints, agent: Agent): string => {
  switch (reason) {
    case 'unknown_agent':
      return 'is not enrolled'
    case 'other_org':
      return 'belongs to another org'
    case 'other_agent_asked':
      return `agent ${constraints.agentId} was asked for`
    case 'other_platform':
      return constraints.platforms.includes(agent.platform)
        ? `runs ${agent.platform}; ${constraints.platform} was asked for`
        : `runs ${agent.platform}; the template is for ${constraints.platforms.join(', ')}`
    case 'other_region':
      return `is in ${agent.region ?? 'no region'}; ${constraints.region} was asked for`
    case 'agent_cordoned':
      return 'takes no new sessions: an operator cordoned it'
    case 'no_agent_online':
      return 'is not connected'
    case 'agent_degraded':
      return agent.statusReason ?? 'is degraded'
    case 'no_capacity':
      return shortage(constraints.resources, agent) ?? 'is full'
  }
}

type Resource = 'sessions' | 'cpuMillis' | 'memoryMib'

const shortOf = (asked: Resources, { capacity, allocated }: Agent): Resource | 'unknown' | null => {
  if (capacity === null) return 'unknown'
  if (allocated.sessions + 1 > capacity.maxSessions) return 'sessions'
  if (allocated.cpuMillis + asked.cpuMillis > capacity.cpuMillis) return 'cpuMillis'
  return allocated.memoryMib + asked.memoryMib > capacity.memoryMib ? 'memoryMib' : null
}

/** Which resource is short, in figures, or null when everything fits. */
export const shortage = (asked: Resources, agent: Agent): string | null => {
  const { capacity, allocated } = agent
  const short = shortOf(asked, agent)
  if (short === null) return null
  if (short === 'unknown' || capacity === null) return 'its capacity is not known yet'
  return short === 'sessions'
    ? `holds ${allocated.sessions} of ${capacity.maxSessions} sessions`
    : `${capacity[short] - allocated[short]} of ${capacity[short]} ${short} free, ${asked[short]} asked`
}

const waitingReason = (passing: readonly RefusalReason[]): WaitingReason => {
  if (passing.includes('no_capacity')) return 'no_capacity'
  return passing.every((reason) => reason === 'agent_cordoned') ? 'agent_cordoned' : 'no_agent_online'
}

/** Share of the scarcest resource that would be in use: spreading by it keeps the most room everywhere. */
export const load = (agent: Agent, asked: Resources): number => {
  if (agent.capacity === null) return Number.POSITIVE_INFINITY
  const { capacity, allocated } = agent
  return Math.max(
    (allocated.sessions + 1) / Math.max(1, capacity.maxSessions),
    (allocated.cpuMillis + asked.cpuMillis) / Math.max(1, capacity.cpuMillis),
    (allocated.memoryMib + asked.memoryMib) / Math.max(1, capacity.memoryMib),
  )
}

/** Figures a few creates old differ by noise: within this of the least load, concurrent creates are spread. */
const TIE = 0.01

/**
 * The best of some is nearly the best of all (Mitzenmacher, The power of two choices in randomized load balancing,
 * 2001), and looking at ten thousand for each create would be most of what a create costs.
 */
const ENOUGH = 256

/** Some of many agents, others for each session, from all over the list: neighbours in it are often alike. */
const sampleOf = ({ tieBreaker }: Constraints, agents: readonly Agent[]): readonly Agent[] => {
  if (agents.length <= ENOUGH) return agents
  const first = hash(tieBreaker)
  const step = agents.length / ENOUGH
  return Array.from({ length: ENOUGH }, (_, index) => {
    const position = (first + Math.floor(index * step)) % agents.length
    return agents[position] as Agent
  })
}

const bestOf = (constraints: Constraints, agents: readonly Agent[]): Agent | null => {
  const fitting: Agent[] = []
  const loads: number[] = []
  let least = Number.POSITIVE_INFINITY
  for (const agent of agents) {
    if (objection(constraints, agent) !== null) continue
    const one = load(agent, constraints.resources)
    fitting.push(agent)
    loads.push(one)
    if (one < least) least = one
  }
  let alike: Agent[] = []
  let leastBusy = Number.POSITIVE_INFINITY
  for (const [index, one] of loads.entries()) {
    const agent = fitting[index]
    if (agent === undefined || one - least > TIE) continue
    const busy = constraints.underWay?.get(agent.id) ?? 0
    if (busy > leastBusy) continue
    if (busy < leastBusy) alike = []
    leastBusy = busy
    alike.push(agent)
  }
  return alike[hash(constraints.tieBreaker) % alike.length] ?? null
}

/** FNV-1a, 32 bit (Fowler, Noll, Vo; draft-eastlake-fnv): cheap and even enough for a tie. */
const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}

/** One sentence for a person: why it waits, agent by agent. */
export const explain = ({ refusals, refused }: Refused): string =>
  refused === 0
    ? 'no agent is enrolled'
    : refusals
        .slice(0, 5)
        .map(({ agentId, detail }) => `${agentId}: ${detail}`)
        .join('; ') + (refused > 5 ? `; and ${refused - 5} more` : '')
