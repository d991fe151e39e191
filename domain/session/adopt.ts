/**
 * Adoption: what an agent has of a session that the database has forgotten becomes a session again. The agent says
 * what there is, at which generation; whose it is and what it was made from, an operator says.
 */
import type { Agent } from '../agent/agent.ts'
import type { Orphan } from '../agent/orphan.ts'
import type { NoAgent, OrphanNotAdoptable } from '../errors.ts'
import { E } from '../fp.ts'
import { refuse, shortage } from '../placement/refusal.ts'
import { constraintsOf } from '../placement/slot.ts'
import type { CommandStatus } from '../ports/sessions.ts'
import { takenOver } from './reconciled.ts'
import type { Decision, Session } from './session.ts'
import type { Timeouts } from './timeouts.ts'

/** As it is while nobody else can change it. */
export type Adoptable = {
  readonly orphan: Pick<Orphan, 'sessionId' | 'generation' | 'status' | 'reason'>
  /** What became of the newest command that was to remove it; null: there was none. */
  readonly removal: CommandStatus | null
  readonly agent: Agent
}

export type AdoptionIntent = { readonly actor: string; readonly at: Date; readonly timeouts: Timeouts }

/** `draft`: as a session that is asked for anew. No command follows: what is there is what is wanted. */
export const adopt = (
  draft: Session,
  { orphan, removal, agent }: Adoptable,
  { actor, at, timeouts }: AdoptionIntent,
): E.Either<OrphanNotAdoptable | NoAgent, Decision> => {
  const { sessionId } = orphan
  if (orphan.reason !== 'unknown') return E.left({ _tag: 'OrphanNotAdoptable', sessionId, why: 'not_yours' })
  if (removal === 'pending') return E.left({ _tag: 'OrphanNotAdoptable', sessionId, why: 'being_removed' })
  const misplaced = refuse(constraintsOf(draft), agent)
  // It is there already: cordoned, away or full, the agent has it.
  if (misplaced?.reason === 'other_org' || misplaced?.reason === 'other_platform')
    return E.left({
      _tag: 'NoAgent',
      detail: `agent ${agent.id}, which has it, ${misplaced.detail}`,
      refusals: [misplaced],
    })

  const placed: Session = {
    ...draft,
    id: sessionId,
    agentId: agent.id,
    platform: agent.platform,
    region: agent.region,
    waitingSince: null,
  }
  const found = { generation: orphan.generation, status: orphan.status }
  const taken = takenOver(placed, found, '', { agentId: agent.id, at, timeouts })
  const short = taken.reservedOn === null || agent.capacity === null ? null : shortage(draft.resources, agent)
  const overbooked = short === null ? '' : `; the agent has more than its capacity now: without it, it ${short}`
  const session: Session = {
    ...taken,
    statusMessage: `adopted from agent ${agent.id}: the database had forgotten it${overbooked}`,
  }
  return E.right({
    previous: null,
    session,
    events: [
      {
        type: 'restored',
        generation: session.generation,
        actor,
        at,
        data: {
          status: session.status,
          desiredState: session.desiredState,
          agentId: agent.id,
          adopted: true,
          overbooked: short !== null,
          template: session.template.name,
          templateVersion: session.template.version,
        },
      },
    ],
    command: null,
  })
}
