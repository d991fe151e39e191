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
  | { readonly kind: 'placed'; readonly agent: Agent; readonly refusals: readonly Refusal[] }
  /** Nobody can take it now, but somebody fits: it waits. */
  | { readonly kind: 'waiting'; readonly reason: WaitingReason; readonly refusals: readonly Refusal[] }
  /** Nobody could ever take it as things are enrolled: the caller must change something. */
  | { readonly kind: 'impossible'; readonly refusals: readonly Refusal[] }

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
  const refusals: Refusal[] = []
  const fitting: Agent[] = []
  for (const agent of agents) {
    const refusal = refuse(constraints, agent)
    if (refusal === null) fitting.push(agent)
    // What belongs to another org is none of the caller's business, not even as a refusal.
    else if (refusal.reason !== 'other_org') refusals.push(refusal)
  }
  const best = bestOf(constraints, fitting)
  if (best !== null) return { kind: 'placed', agent: best, refusals }
  const passing = refusals.filter((refusal) => !lasting.includes(refusal.reason))
  return passing.length === 0
    ? { kind: 'impossible', refusals }
    : { kind: 'waiting', reason: waitingReason(passing), refusals }
}

/** Why this agent cannot take it, or null when it can. */
export const refuse = (constraints: Constraints, agent: Agent): Refusal | null => {
  const no = (reason: RefusalReason, detail: string): Refusal => ({ agentId: agent.id, reason, detail })
  if (agent.orgId !== null && agent.orgId !== constraints.orgId) return no('other_org', 'belongs to another org')
  if (constraints.agentId !== null && agent.id !== constraints.agentId)
    return no('other_agent_asked', `agent ${constraints.agentId} was asked for`)
  if (!constraints.platforms.includes(agent.platform))
    return no('other_platform', `runs ${agent.platform}; the template is for ${constraints.platforms.join(', ')}`)
  if (constraints.platform !== null && agent.platform !== constraints.platform)
    return no('other_platform', `runs ${agent.platform}; ${constraints.platform} was asked for`)
  // The region of an agent that never connected is not known yet, so it may still turn out to fit.
  if (
    constraints.region !== null &&
    agent.region !== constraints.region &&
    !(agent.region === null && agent.capacity === null)
  )
    return no('other_region', `is in ${agent.region ?? 'no region'}; ${constraints.region} was asked for`)
  if (agent.cordoned) return no('agent_cordoned', 'takes no new sessions: an operator cordoned it')
  if (agent.status === 'offline' || agent.capacity === null) return no('no_agent_online', 'is not connected')
  if (agent.status === 'degraded') return no('agent_degraded', agent.statusReason ?? 'is degraded')
  const short = shortage(constraints.resources, agent)
  return short === null ? null : no('no_capacity', short)
}

/** Which resource is short, in figures, or null when everything fits. */
export const shortage = (asked: Resources, agent: Agent): string | null => {
  if (agent.capacity === null) return 'its capacity is not known yet'
  const { capacity, allocated } = agent
  if (allocated.sessions + 1 > capacity.maxSessions)
    return `holds ${allocated.sessions} of ${capacity.maxSessions} sessions`
  if (allocated.cpuMillis + asked.cpuMillis > capacity.cpuMillis)
    return `${capacity.cpuMillis - allocated.cpuMillis} of ${capacity.cpuMillis} cpuMillis free, ${asked.cpuMillis} asked`
  if (allocated.memoryMib + asked.memoryMib > capacity.memoryMib)
    return `${capacity.memoryMib - allocated.memoryMib} of ${capacity.memoryMib} memoryMib free, ${asked.memoryMib} asked`
  return null
}

const waitingReason = (passing: readonly Refusal[]): WaitingReason => {
  if (passing.some((refusal) => refusal.reason === 'no_capacity')) return 'no_capacity'
  if (passing.every((refusal) => refusal.reason === 'agent_cordoned')) return 'agent_cordoned'
  return 'no_agent_online'
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

const bestOf = ({ resources, tieBreaker, underWay }: Constraints, agents: readonly Agent[]): Agent | null => {
  const loads = agents.map((agent) => load(agent, resources))
  const least = Math.min(...loads)
  let best: { readonly agent: Agent; readonly busy: number; readonly hashed: number } | null = null
  for (const [index, agent] of agents.entries()) {
    if ((loads[index] ?? least) - least > TIE) continue
    const busy = underWay?.get(agent.id) ?? 0
    const hashed = hash(tieBreaker + agent.id)
    if (best === null || busy < best.busy || (busy === best.busy && hashed < best.hashed))
      best = { agent, busy, hashed }
  }
  return best?.agent ?? null
}

/** FNV-1a, 32 bit (Fowler, Noll, Vo; draft-eastlake-fnv): cheap and even enough for a tie. */
const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}

/** One sentence for a person: why it waits, agent by agent. */
export const explain = (refusals: readonly Refusal[]): string =>
  refusals.length === 0
    ? 'no agent is enrolled'
    : refusals
        .slice(0, 5)
        .map((refusal) => `${refusal.agentId}: ${refusal.detail}`)
        .join('; ') + (refusals.length > 5 ? `; and ${refusals.length - 5} more` : '')
