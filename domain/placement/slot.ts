/** Where a session that exists already can run: with its home, or where it still holds capacity, or anywhere. */
import type { Agent } from '../agent/agent.ts'
import type { Slot } from '../session/decision.ts'
import type { Session } from '../session/session.ts'
import { type Placement, place } from './place.ts'
import { type Constraints, explain, shortage } from './refusal.ts'

export const constraintsOf = (session: Session): Constraints => ({
  orgId: session.orgId,
  platforms: session.placement.platforms,
  platform: session.placement.platform,
  region: session.placement.region,
  agentId: session.placement.agentId,
  ...(session.placement.agentLabels === undefined ? {} : { agentLabels: session.placement.agentLabels }),
  ...(session.placement.strategy === undefined ? {} : { strategy: session.placement.strategy }),
  resources: session.resources,
  tieBreaker: session.id,
})

/** Who asked for an agent that is there no more can have it no more, and need not wait for it. `agents`: all that its org may use. */
export const constraintsAmong = (session: Session, agents: readonly Agent[]): Constraints => {
  const constraints = constraintsOf(session)
  return agents.some(({ id }) => id === constraints.agentId) ? constraints : { ...constraints, agentId: null }
}

/** The agent that this session cannot leave: it holds its home, or something of it may still run there. */
export const tiedTo = (session: Session): Session['agentId'] =>
  session.reservedOn ?? (session.persistentHome ? session.agentId : null)

export const slotFor = (session: Session, agents: readonly Agent[]): Slot => {
  const tied = tiedTo(session)
  return tied === null
    ? slotOf(place(constraintsAmong(session, agents), agents))
    : slotOnItsAgent(session, tied, agents)
}

export const slotOf = (placement: Placement): Slot => {
  switch (placement.kind) {
    case 'placed':
      return {
        kind: 'placed',
        agentId: placement.agent.id,
        platform: placement.agent.platform,
        region: placement.agent.region,
      }
    case 'waiting':
      return {
        kind: 'waiting',
        reason: placement.reason,
        message: explain(placement),
        refusals: placement.refusals,
      }
    case 'impossible':
      return {
        kind: 'waiting',
        reason: 'no_agent_online',
        message: explain(placement),
        refusals: placement.refusals,
      }
  }
}

const slotOnItsAgent = (session: Session, agentId: NonNullable<Session['agentId']>, agents: readonly Agent[]): Slot => {
  const agent = agents.find((candidate) => candidate.id === agentId)
  if (agent === undefined)
    return {
      kind: 'waiting',
      reason: 'no_agent_online',
      message: `agent ${agentId}, which keeps this session's home, is no longer enrolled`,
    }
  // What holds its room there already goes on there; a cordon keeps out what would be new.
  if (session.reservedOn !== agentId) {
    if (agent.cordoned)
      return {
        kind: 'waiting',
        reason: 'agent_cordoned',
        message: `agent ${agentId}, which keeps this session's home, is cordoned`,
      }
    if (agent.capacity === null)
      return {
        kind: 'waiting',
        reason: 'no_agent_online',
        message: `agent ${agentId}, which keeps this session's home, has not connected yet`,
      }
    // Away or not: what it has no room for could not be reserved there.
    const short = shortage(session.resources, agent)
    if (short !== null)
      return {
        kind: 'waiting',
        reason: 'home_agent_full',
        message: `agent ${agentId} keeps this session's home and is full: ${short}`,
      }
  }
  // An agent that is away for a while still gets it: the command waits in the outbox.
  return { kind: 'placed', agentId, platform: agent.platform, region: agent.region }
}
