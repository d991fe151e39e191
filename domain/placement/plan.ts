/** Where a session would go, and why each other agent would not have it: for whoever asks before, or wonders afterwards. */
import type { Agent } from '../agent/agent.ts'
import type { AgentId } from '../ids.ts'
import type { StatusReason } from '../session/words.ts'
import { load, type Placement } from './place.ts'
import { type Constraints, explain, lasting, type Refusal, refuse, type Strategy, tellsFigures } from './refusal.ts'

export type Plan = {
  /** null: it would wait. */
  readonly agentId: AgentId | null
  readonly platform: string | null
  readonly region: string | null
  readonly strategy: Strategy
  readonly status: 'scheduling' | 'pending'
  readonly statusReason: StatusReason
  readonly statusMessage: string
  /** Every other agent: first those that could take it as well, then those that cannot now, then those that never can. */
  readonly refusals: readonly Refusal[]
  /** How many there are, also of those that are not named. */
  readonly refused: number
}

/** One answer with ten thousand of them helps nobody, and is megabytes. */
export const MOST_REFUSALS = 500

export const planOf = (
  constraints: Constraints,
  agents: readonly Agent[],
  placement: Exclude<Placement, { readonly kind: 'impossible' }>,
): Plan => {
  const chosen = placement.kind === 'placed' ? placement.agent : null
  const refused = agents.flatMap((agent) => refusalBeside(constraints, chosen, agent))
  const common = {
    strategy: constraints.strategy ?? 'spread',
    refusals: refused.toSorted((a, b) => rank(a) - rank(b)).slice(0, MOST_REFUSALS),
    refused: refused.length,
  } as const
  return placement.kind === 'placed'
    ? {
        ...common,
        agentId: placement.agent.id,
        platform: placement.agent.platform,
        region: placement.agent.region,
        status: 'scheduling',
        statusReason: 'queued_for_agent',
        statusMessage: `would go to agent ${placement.agent.id}${share(constraints, placement.agent)}`,
      }
    : {
        ...common,
        agentId: null,
        platform: constraints.platform,
        region: constraints.region,
        status: 'pending',
        statusReason: placement.reason,
        statusMessage: explain(placement),
      }
}

const refusalBeside = (constraints: Constraints, chosen: Agent | null, agent: Agent): readonly Refusal[] => {
  if (agent.id === chosen?.id) return []
  const refusal = refuse(constraints, agent)
  // What belongs to another org is none of the caller's business.
  if (refusal !== null) return refusal.reason === 'other_org' ? [] : [refusal]
  return chosen === null
    ? []
    : [{ agentId: agent.id, reason: 'not_preferred', detail: compared(constraints, chosen, agent) }]
}

const filled = ({ resources }: Constraints, agent: Agent): number => Math.round(load(agent, resources) * 100)

const share = (constraints: Constraints, agent: Agent): string =>
  tellsFigures(agent) ? `: ${filled(constraints, agent)} % of it would be in use` : ''

const compared = (constraints: Constraints, chosen: Agent, agent: Agent): string => {
  const [here, there] = [filled(constraints, agent), filled(constraints, chosen)]
  const inFigures = (figures: string): string => (tellsFigures(agent) && tellsFigures(chosen) ? figures : '')
  if (here === there)
    return `could take it as well as ${chosen.id}${inFigures(`: ${here} % of either would be in use`)}`
  const is = constraints.strategy === 'pack' ? 'emptier' : 'fuller'
  return `could take it, but is ${is}${inFigures(`: ${here} % of it would be in use, ${there} % of ${chosen.id}`)}`
}

const rank = ({ reason }: Refusal): number => (reason === 'not_preferred' ? 0 : lasting.includes(reason) ? 2 : 1)
