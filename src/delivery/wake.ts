/**
 * After a commit, whoever holds the agent's socket is told that something is due. This replica's own
 * agents are drained at once; for others a job goes to the queue of the replica that holds them. While one
 * such wake is under way, and for a moment after it has begun, further agents collect for the next. All of it is a hint: the sweep finds what a
 * lost wake leaves lying.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { LeaseStore } from '../../domain/ports/agents.ts'
import type { AgentGateway, Wake } from '../../domain/ports/delivery.ts'
import type { DrainQueue } from '../../domain/ports/jobs.ts'

/**
 * From one wake to the next: each costs the database a job for every replica, which is more than what it
 * tells of. One that comes alone is sent at once.
 */
const EVERY_MS = 10

export type WakeDeps = {
  readonly gateway: AgentGateway
  readonly leases: Pick<LeaseStore, 'holders'>
  readonly drains: Pick<DrainQueue, 'send'>
  readonly onError: (error: unknown) => void
}

export type WakeSettings = {
  /** `off` sends even this replica's own agents through the queue: the benchmark measures that way too. */
  readonly nudge: 'on' | 'off'
  readonly everyMs?: number
}

export const createWake = (deps: WakeDeps, { nudge, everyMs = EVERY_MS }: WakeSettings): Wake => {
  let collected = new Set<AgentId>()
  let sending = false

  const sendOne = async (agentIds: readonly AgentId[]): Promise<void> => {
    const byReplica = new Map<ReplicaId, AgentId[]>()
    for (const { agentId, replicaId } of await deps.leases.holders(agentIds))
      byReplica.set(replicaId, [...(byReplica.get(replicaId) ?? []), agentId])
    await Promise.all([...byReplica].map(([replicaId, agents]) => deps.drains.send(replicaId, agents)))
  }

  const send = async (): Promise<void> => {
    sending = true
    while (collected.size > 0) {
      const agentIds = [...collected]
      collected = new Set()
      const began = performance.now()
      // What was collected meanwhile is sent also when this one fails.
      await sendOne(agentIds).catch(deps.onError)
      const early = began + everyMs - performance.now()
      if (early > 0) await wait(early)
    }
    sending = false
  }

  return {
    agents: (agentIds) => {
      for (const agentId of agentIds) {
        if (nudge === 'on' && deps.gateway.holds(agentId)) deps.gateway.drain(agentId)
        else collected.add(agentId)
      }
      if (collected.size > 0 && !sending) void send()
    },
  }
}
