/**
 * Which replica holds which agent, as it was a moment ago: leases hardly ever move, and a wake for every few creates
 * would ask for them again and again. Who is woken for an agent that has moved meanwhile passes the wake on, and who has
 * got one looks once more when nobody can be remembering another.
 */
import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { LeaseStore } from '../../domain/ports/agents.ts'
import type { DrainQueue } from '../../domain/ports/jobs.ts'

type Holders = Pick<LeaseStore, 'holders'>

const REMEMBERED_FOR_MS = 500

/**
 * So long (ms) after an agent has moved, a wake that went by what was remembered may still reach the replica that held it
 * before. Should that one be dead, or not have noticed, nobody passes it on. The rest is for the commit before the wake.
 */
export const WAKES_GO_ASTRAY_FOR_MS = REMEMBERED_FOR_MS + 250

/** Agents that nobody holds are asked for each time: they may come at any moment. */
export const rememberedHolders = (leases: Holders, now: () => number = () => performance.now()): Holders => {
  let known = new Map<AgentId, ReplicaId>()
  /** Asked for since all were read. */
  let wanted = new Set<AgentId>()
  let readAt = Number.NEGATIVE_INFINITY

  const read = async (agentIds: readonly AgentId[]): Promise<void> => {
    for (const { agentId, replicaId } of await leases.holders(agentIds)) known.set(agentId, replicaId)
  }
  return {
    holders: async (agentIds) => {
      for (const agentId of agentIds) wanted.add(agentId)
      if (now() - readAt >= REMEMBERED_FOR_MS) {
        const all = [...wanted]
        readAt = now()
        wanted = new Set()
        known = new Map()
        await read(all)
      } else {
        const unknown = agentIds.filter((agentId) => !known.has(agentId))
        if (unknown.length > 0) await read(unknown)
      }
      return agentIds.flatMap((agentId) => {
        const replicaId = known.get(agentId)
        return replicaId === undefined ? [] : [{ agentId, replicaId }]
      })
    },
  }
}

export type PassOnDeps = {
  readonly leases: Holders
  readonly drains: Pick<DrainQueue, 'send'>
  readonly replicaId: ReplicaId
  readonly onError: (error: unknown) => void
}

/** A wake for an agent that this replica does not hold goes to who holds it now, if anybody else does. */
export const passOn =
  ({ leases, drains, replicaId, onError }: PassOnDeps) =>
  (agentId: AgentId): void => {
    const pass = async (): Promise<void> => {
      const [holder] = await leases.holders([agentId])
      if (holder !== undefined && holder.replicaId !== replicaId) await drains.send(holder.replicaId, [agentId])
    }
    pass().catch(onError)
  }
