/**
 * What inventories are compared with, gathered: those that come at the same moment, as after a storm, are compared by
 * one statement each. An inventory of many sessions has a statement of its own, so that it holds up no other.
 */
import type { AgentId } from '../../domain/ids.ts'
import type {
  ComparedWith,
  InventoryBatches,
  InventoryReads,
  NoOrphans,
  ToldBy,
} from '../../domain/ports/inventories.ts'
import { createBatch } from './batch.ts'

const EVERY_MS = 2
const AT_ONCE = 64
const OVERTAKE_AFTER_MS = 100
/** Entries; 64 inventories of so many are as long as the longest inventory of one agent that is quickly compared. */
const FEW = 100

export const gatherInventories = (reads: InventoryBatches): InventoryReads => ({
  asTold: gathered<ToldBy, Awaited<ReturnType<InventoryReads['asTold']>>>(
    reads.asTold,
    ({ inventory }) => inventory.length,
  ),
  sessions: gathered<ComparedWith, Awaited<ReturnType<InventoryReads['sessions']>>>(
    reads.sessions,
    ({ mentioned, asTold }) => mentioned.length + asTold.size,
  ),
  isRecorded: gathered<NoOrphans, boolean>(reads.isRecorded, () => 0),
})

/** One inventory of an agent at a time is the caller's promise; a statement tells its rows apart by their agents. */
const gathered = <Asked extends { readonly agentId: AgentId }, Answer>(
  read: (asked: readonly Asked[]) => Promise<readonly Answer[]>,
  entries: (asked: Asked) => number,
): ((asked: Asked) => Promise<Answer>) => {
  const few = createBatch<Asked, Answer>(read, {
    minIntervalMs: EVERY_MS,
    maxItems: AT_ONCE,
    overtakeAfterMs: OVERTAKE_AFTER_MS,
  })
  // One at a time, and a few where they take long: many of them must not take all connections.
  const alone = createBatch<Asked, Answer>(read, { minIntervalMs: 0, maxItems: 1, overtakeAfterMs: OVERTAKE_AFTER_MS })
  return (asked) => (entries(asked) > FEW ? alone : few).add(asked)
}
