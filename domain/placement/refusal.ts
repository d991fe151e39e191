/** Why an agent cannot take a session: as a reason to decide on, and in words for a person. */
import type { Agent, Resources } from '../agent/agent.ts'
import type { AgentId, OrgId } from '../ids.ts'

export type Constraints = {
  readonly orgId: OrgId
  /** Platforms that the template can run on. */
  readonly platforms: readonly string[]
  readonly platform: string | null
  readonly region: string | null
  readonly agentId: AgentId | null
  /** Labels that the agent has to have, each with this value. */
  readonly agentLabels?: { readonly [name: string]: string }
  /** Default: `spread`. */
  readonly strategy?: Strategy
  readonly resources: Resources
  /** Breaks ties between equally loaded agents, so that concurrent creates do not all pick the first. */
  readonly tieBreaker: string
  /**
   * Placements on their way to being committed, by agent. Each holds its agent's row until then, so that of
   * equally loaded agents the one with the fewest is the quickest.
   */
  readonly underWay?: ReadonlyMap<AgentId, number>
}

/** `spread`: where most room stays everywhere. `pack`: where there is least left, so that whole agents stay empty. */
export const strategies = ['spread', 'pack'] as const
export type Strategy = (typeof strategies)[number]

export const refusalReasons = [
  'unknown_agent',
  'other_agent_asked',
  'other_org',
  'other_platform',
  'other_region',
  'other_labels',
  'agent_cordoned',
  'no_agent_online',
  'agent_degraded',
  'no_capacity',
  'not_preferred',
] as const
export type RefusalReason = (typeof refusalReasons)[number]

export type Refusal = { readonly agentId: string; readonly reason: RefusalReason; readonly detail: string }

/** Refusals that time alone does not cure. */
export const lasting: readonly RefusalReason[] = [
  'unknown_agent',
  'other_agent_asked',
  'other_org',
  'other_platform',
  'other_region',
  'other_labels',
]

/** The first of them in words, and how many there are. */
export type Refused = { readonly refusals: readonly Refusal[]; readonly refused: number }

/** Why agents cannot take it. What belongs to another org is none of the caller's business, not even as a refusal. */
export const refusalsOf = (constraints: Constraints, agents: readonly Agent[]): readonly Refusal[] =>
  agents.flatMap((agent) => {
    const refusal = refuse(constraints, agent)
    return refusal === null || refusal.reason === 'other_org' ? [] : [refusal]
  })

/** Why this agent cannot take it, or null when it can. */
export const refuse = (constraints: Constraints, agent: Agent): Refusal | null => {
  const reason = objection(constraints, agent)
  return reason === null ? null : { agentId: agent.id, reason, detail: inWords(reason, constraints, agent) }
}

export const objection = (constraints: Constraints, agent: Agent): RefusalReason | null => {
  const { platform, region, agentId, resources } = constraints
  if (agent.orgId !== null && agent.orgId !== constraints.orgId) return 'other_org'
  if (agentId !== null && agent.id !== agentId) return 'other_agent_asked'
  if (!constraints.platforms.includes(agent.platform)) return 'other_platform'
  if (platform !== null && agent.platform !== platform) return 'other_platform'
  // The region of an agent that never connected is not known yet, so it may still turn out to fit.
  if (region !== null && agent.region !== region && !(agent.region === null && agent.capacity === null))
    return 'other_region'
  if (missingLabel(constraints, agent) !== null) return 'other_labels'
  if (agent.cordoned) return 'agent_cordoned'
  if (agent.status === 'offline' || agent.capacity === null) return 'no_agent_online'
  if (agent.status === 'degraded') return 'agent_degraded'
  return shortOf(resources, agent) === null ? null : 'no_capacity'
}

/** Labels are known from the enrolment and, once it has connected, from the agent itself: until then it may still turn out to fit. */
const missingLabel = ({ agentLabels }: Constraints, agent: Agent): readonly [name: string, value: string] | null => {
  if (agentLabels === undefined) return null
  for (const name in agentLabels) {
    const asked = agentLabels[name] ?? ''
    const has = Object.hasOwn(agent.labels, name) ? agent.labels[name] : undefined
    if (has !== asked && !(has === undefined && agent.capacity === null)) return [name, asked]
  }
  return null
}

const withoutLabel = (constraints: Constraints, agent: Agent): string => {
  const [name, asked] = missingLabel(constraints, agent) ?? ['', '']
  return `${Object.hasOwn(agent.labels, name) ? `has ${name}=${agent.labels[name]}` : `has no label ${name}`}; ${name}=${asked} was asked for`
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
    case 'other_labels':
      return withoutLabel(constraints, agent)
    case 'agent_cordoned':
      return `takes no new sessions: ${agent.draining ? 'it is being drained' : 'an operator cordoned it'}`
    case 'no_agent_online':
      return 'is not connected'
    case 'agent_degraded':
      return agent.statusReason ?? 'is degraded'
    case 'no_capacity':
      return shortage(constraints.resources, agent) ?? 'is full'
    case 'not_preferred':
      return 'another one suits better'
  }
}

type Resource = 'sessions' | 'cpuMillis' | 'memoryMib'

const shortOf = (asked: Resources, { capacity, allocated }: Agent): Resource | 'unknown' | null => {
  if (capacity === null) return 'unknown'
  if (allocated.sessions + 1 > capacity.maxSessions) return 'sessions'
  if (allocated.cpuMillis + asked.cpuMillis > capacity.cpuMillis) return 'cpuMillis'
  return allocated.memoryMib + asked.memoryMib > capacity.memoryMib ? 'memoryMib' : null
}

/** How much of a shared agent is in use says what other orgs have there: an explanation tells of an org's own agent alone how much. */
export const tellsFigures = ({ orgId }: Agent): boolean => orgId !== null

/** Which resource is short, of an org's own agent in figures; null when everything fits. */
export const shortage = (asked: Resources, agent: Agent): string | null => {
  const { capacity, allocated } = agent
  const short = shortOf(asked, agent)
  if (short === null) return null
  if (short === 'unknown' || capacity === null) return 'its capacity is not known yet'
  if (!tellsFigures(agent))
    return short === 'sessions' ? 'holds as many sessions as it can' : `has no ${asked[short]} ${short} free`
  return short === 'sessions'
    ? `holds ${allocated.sessions} of ${capacity.maxSessions} sessions`
    : `${capacity[short] - allocated[short]} of ${capacity[short]} ${short} free, ${asked[short]} asked`
}

/** One sentence for a person: why it waits, agent by agent. */
export const explain = ({ refusals, refused }: Refused): string =>
  refused === 0
    ? 'no agent is enrolled'
    : refusals
        .slice(0, 5)
        .map(({ agentId, detail }) => `${agentId}: ${detail}`)
        .join('; ') + (refused > 5 ? `; and ${refused - 5} more` : '')
