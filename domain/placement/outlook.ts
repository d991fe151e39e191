/**
 * What becomes of a session while its agent is drained: whether it moves, and why it does not. Pure. A session moves by being
 * put to rest where it is and started elsewhere, so only one without a home that is kept: homes are on the agent's own machine,
 * engine or cluster, on every platform, and what is in them would be lost. That is for its user to decide.
 */
import type { Agent } from '../agent/agent.ts'
import type { Session } from '../session/session.ts'
import { place } from './place.ts'
import { explain } from './refusal.ts'
import { constraintsAmong } from './slot.ts'

export const drainStates = ['moving', 'waiting', 'staying', 'at_rest'] as const
/** `waiting`: it moves when what it waits for is over. `at_rest`: nothing of it is there; it starts elsewhere when it is asked for. */
export type DrainState = (typeof drainStates)[number]

export const drainReasons = [
  'moving',
  'in_turn',
  'starting',
  'ending',
  'agent_unreachable',
  'no_other_agent',
  'home_kept',
  'agent_asked',
  'unsettled',
  'nothing_here',
] as const
export type DrainReason = (typeof drainReasons)[number]

export type Outlook = { readonly state: DrainState; readonly reason: DrainReason; readonly message: string }

const outlook = (state: DrainState, reason: DrainReason, message: string): Outlook => ({ state, reason, message })

/** `agents`: all that might take a session of its org. `moving`: it has been put to rest for this. */
export const outlookOf = (
  session: Session,
  agent: Pick<Agent, 'id' | 'status'>,
  agents: readonly Agent[],
  moving: boolean,
): Outlook => {
  if (moving) return outlook('moving', 'moving', 'is put to rest here, and then started elsewhere')
  const lasting = whyNever(session, agent)
  if (lasting !== null) return lasting
  if (session.reservedOn !== agent.id)
    return outlook('at_rest', 'nothing_here', 'nothing of it is here: when it is asked for, it starts elsewhere')
  return whyNotYet(session, agent) ?? whetherElsewhere(session, agent, agents)
}

const whyNever = (session: Session, { id }: Pick<Agent, 'id'>): Outlook | null => {
  if (session.desiredState === 'deleted') return outlook('waiting', 'ending', 'is being deleted')
  if (session.persistentHome)
    return outlook(
      'staying',
      'home_kept',
      session.reservedOn === id
        ? 'its home is kept here and cannot go along: its user can stop or delete it'
        : 'it rests, and its home is kept here and cannot go along: it starts here when the agent is uncordoned, or can be deleted',
    )
  return session.placement.agentId === id
    ? outlook('staying', 'agent_asked', `it was made for agent ${id}: it can be deleted, and made anew for another`)
    : null
}

const whyNotYet = (session: Session, { status }: Pick<Agent, 'status'>): Outlook | null => {
  if (session.desiredState !== 'running') return outlook('waiting', 'ending', 'is being put to rest, as was asked')
  if (session.status === 'scheduling') return outlook('waiting', 'starting', 'is starting: it moves when it runs')
  if (session.status !== 'running')
    return outlook('waiting', 'unsettled', 'the agent has not said yet that nothing of it runs here')
  return status === 'offline'
    ? outlook('waiting', 'agent_unreachable', 'its agent cannot be reached: it moves when the agent is back')
    : null
}

const whetherElsewhere = (session: Session, { id }: Pick<Agent, 'id'>, agents: readonly Agent[]): Outlook => {
  const placement = place(
    constraintsAmong(session, agents),
    agents.filter((other) => other.id !== id),
  )
  switch (placement.kind) {
    case 'placed':
      return outlook('waiting', 'in_turn', `there is room on agent ${placement.agent.id}: it moves in its turn`)
    case 'waiting':
      return outlook('waiting', 'no_other_agent', `no other agent can take it now: ${explain(placement)}`)
    case 'impossible':
      return outlook('staying', 'no_other_agent', `no other agent can take it: ${explain(placement)}`)
  }
}
