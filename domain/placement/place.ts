/**
 * Where a session goes: constraints → candidates → best. Pure, and only advice: the statement that
 * commits the session reserves the capacity, and a lost race comes back here with fresh figures.
 */
import type { Agent, Resources } from '../agent/agent.ts'
import { type Constraints, lasting, objection, type RefusalReason, type Refused, refusalsOf } from './refusal.ts'

export type Placement =
  | { readonly kind: 'placed'; readonly agent: Agent }
  /** Nobody can take it now, but somebody fits: it waits. */
  | ({ readonly kind: 'waiting'; readonly reason: WaitingReason } & Refused)
  /** Nobody could ever take it as things are enrolled: the caller must change something. */
  | ({ readonly kind: 'impossible' } & Refused)

export type WaitingReason = 'no_agent_online' | 'no_capacity' | 'agent_cordoned'

export const place = (constraints: Constraints, agents: readonly Agent[]): Placement => {
  const best = bestOf(constraints, sampleOf(constraints, agents)) ?? bestOf(constraints, agents)
  if (best !== null) return { kind: 'placed', agent: best }
  const passing: Agent[] = []
  const others: Agent[] = []
  const reasons = new Set<RefusalReason>()
  for (const agent of agents) {
    const reason = objection(constraints, agent)
    if (reason === null || reason === 'other_org') continue
    reasons.add(reason)
    if (lasting.includes(reason)) others.push(agent)
    else passing.push(agent)
  }
  const refused = {
    refusals: refusalsOf(constraints, [...passing.slice(0, MOST_IN_WORDS), ...others].slice(0, MOST_IN_WORDS)),
    refused: passing.length + others.length,
  }
  return passing.length === 0
    ? { kind: 'impossible', ...refused }
    : { kind: 'waiting', reason: waitingReason(reasons), ...refused }
}

/** Whoever reads why each of ten thousand agents is full is helped by a few of them and the number. */
const MOST_IN_WORDS = 20

const waitingReason = (reasons: ReadonlySet<RefusalReason>): WaitingReason => {
  if (reasons.has('no_capacity')) return 'no_capacity'
  const away = reasons.has('no_agent_online') || reasons.has('agent_degraded')
  return reasons.has('agent_cordoned') && !away ? 'agent_cordoned' : 'no_agent_online'
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
const sampleOf = ({ tieBreaker, strategy }: Constraints, agents: readonly Agent[]): readonly Agent[] => {
  // The fullest of others each time would be many that are half full.
  if (agents.length <= ENOUGH || strategy === 'pack') return agents
  const first = hash(tieBreaker)
  const step = agents.length / ENOUGH
  return Array.from({ length: ENOUGH }, (_, index) => {
    const position = (first + Math.floor(index * step)) % agents.length
    return agents[position] as Agent
  })
}

const bestOf = (constraints: Constraints, agents: readonly Agent[]): Agent | null =>
  constraints.strategy === 'pack' ? fullestOf(constraints, agents) : leastLoadedOf(constraints, agents)

/**
 * The fullest that has room still. Of equals the same one for everybody, or each would open another. What is on its way to
 * an agent counts as there: whoever chooses it next would lose the race for its last place.
 */
const fullestOf = (constraints: Constraints, agents: readonly Agent[]): Agent | null => {
  let best: Agent | null = null
  let most = Number.NEGATIVE_INFINITY
  for (const agent of agents) {
    if (objection(constraints, agent) !== null) continue
    const expected = withUnderWay(constraints, agent)
    if (expected !== agent && objection(constraints, expected) !== null) continue
    const one = load(expected, constraints.resources)
    if (one < most || (one === most && best !== null && best.id < agent.id)) continue
    best = agent
    most = one
  }
  return best
}

const withUnderWay = ({ underWay, resources }: Constraints, agent: Agent): Agent => {
  const count = underWay?.get(agent.id) ?? 0
  return count === 0
    ? agent
    : {
        ...agent,
        allocated: {
          sessions: agent.allocated.sessions + count,
          cpuMillis: agent.allocated.cpuMillis + count * resources.cpuMillis,
          memoryMib: agent.allocated.memoryMib + count * resources.memoryMib,
        },
      }
}

const leastLoadedOf = (constraints: Constraints, agents: readonly Agent[]): Agent | null => {
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
