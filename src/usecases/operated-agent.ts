import type { Agent } from '../../domain/agent/agent.ts'
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import { mayOwn } from './templates.ts'

/**
 * An agent, for an operator of whose it is: the org, or the installation. For changes, and for all that is about its orphans; what a
 * shared agent has may be any org's.
 */
export const operatedAgent = async (
  agents: Pick<AgentStore, 'get'>,
  caller: Caller,
  id: AgentId,
): Promise<E.Either<ApplicationError, Agent>> => {
  const agent = await agents.get(caller.orgId, id)
  if (agent === null) return E.left(notFound('agent', id))
  if (!may(caller, 'operate')) return E.left(forbidden('operate'))
  if (!mayOwn(caller, agent.orgId)) return E.left(forbidden('administer_installation'))
  return E.right(agent)
}
