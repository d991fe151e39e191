/**
 * Agents that knock, connect or go at the same moment do so in one statement: of ten thousand that lose their connection
 * at once, each would otherwise wait for the disk alone. One that comes by itself is not held up.
 */
import type { AgentId, ReplicaId } from '../../domain/ids.ts'
import type { AgentIdentity, Connected, Connecting, LeaseBatches, LeaseStore, Peer } from '../../domain/ports/agents.ts'
import { createBatch } from './batch.ts'

const EVERY_MS = 2
const AT_ONCE = 128
/** Somebody may hold the lease of one agent: others do not wait for that. */
const OVERTAKE_AFTER_MS = 100

export const gatherConnects = (leases: LeaseStore & LeaseBatches): LeaseStore => {
  const knocks = createBatch<Buffer, AgentIdentity | null>((hashes) => leases.identifyMany(hashes), {
    minIntervalMs: EVERY_MS,
    maxItems: AT_ONCE,
    overtakeAfterMs: OVERTAKE_AFTER_MS,
  })
  const connects = createBatch<Connecting, Connected>((all) => connectApart(leases, all), {
    minIntervalMs: EVERY_MS,
    maxItems: AT_ONCE,
    overtakeAfterMs: OVERTAKE_AFTER_MS,
    keyOf: ({ agentId }) => agentId,
  })
  // All of one replica: it gives up no other's.
  const goodbyes = createBatch<{ readonly peer: Peer; readonly replicaId: ReplicaId }, void>(
    async (all) => {
      await leases.disconnectMany(
        all.map(({ peer }) => peer),
        (all[0] as (typeof all)[number]).replicaId,
      )
      return []
    },
    {
      minIntervalMs: EVERY_MS,
      maxItems: AT_ONCE,
      overtakeAfterMs: OVERTAKE_AFTER_MS,
      keyOf: ({ peer }) => peer.agentId,
    },
  )
  return {
    ...leases,
    identify: knocks.add,
    connect: connects.add,
    disconnect: (peer, replicaId) => goodbyes.add({ peer, replicaId }),
  }
}

/** Two connections of one agent are two statements, in the order in which they came: each has an epoch of its own. */
const connectApart = async (
  leases: Pick<LeaseBatches, 'connectMany'>,
  all: readonly Connecting[],
): Promise<readonly Connected[]> => {
  const answers = new Map<Connecting, Connected>()
  for (let open = all; open.length > 0; ) {
    const first = new Map<AgentId, Connecting>()
    for (const one of open) if (!first.has(one.agentId)) first.set(one.agentId, one)
    const round = [...first.values()]
    const connected = await leases.connectMany(round)
    round.forEach((one, index) => {
      answers.set(one, connected[index] as Connected)
    })
    open = open.filter((one) => !answers.has(one))
  }
  return all.map((one) => answers.get(one) as Connected)
}
