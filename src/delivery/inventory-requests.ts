/**
 * Asks agents what they have, whichever replica holds their sockets. A hint, as a wake is: an agent that is not
 * connected says it when it is, and one that was not reached says it at its next turn. What is asked within a
 * moment is asked once: who adopts a hundred orphans one after the other causes a few lists, not a hundred.
 */
import type { AgentId } from '../../domain/ids.ts'
import type { LeaseStore } from '../../domain/ports/agents.ts'
import type { AgentGateway, AskInventory } from '../../domain/ports/delivery.ts'
import type { DrainQueue } from '../../domain/ports/jobs.ts'

export type InventoryRequestDeps = {
  readonly gateway: Pick<AgentGateway, 'holds' | 'requestInventory'>
  readonly leases: Pick<LeaseStore, 'holders'>
  readonly drains: Pick<DrainQueue, 'askInventory'>
  readonly onError: (error: unknown) => void
}

const GATHERED_FOR_MS = 500

export const createInventoryRequests = (
  { gateway, leases, drains, onError }: InventoryRequestDeps,
  gatheredForMs = GATHERED_FOR_MS,
): AskInventory => {
  let gathered = new Set<AgentId>()

  const ask = async (agentIds: readonly AgentId[]): Promise<void> => {
    const elsewhere = agentIds.filter((agentId) => !gateway.holds(agentId))
    for (const agentId of agentIds) if (gateway.holds(agentId)) gateway.requestInventory(agentId)
    if (elsewhere.length === 0) return
    const holders = await leases.holders(elsewhere)
    await Promise.all(holders.map(({ replicaId, agentId }) => drains.askInventory(replicaId, agentId)))
  }

  return (agentId) => {
    if (gathered.size === 0)
      setTimeout(() => {
        const agentIds = [...gathered]
        gathered = new Set()
        ask(agentIds).catch(onError)
      }, gatheredForMs).unref()
    gathered.add(agentId)
  }
}
