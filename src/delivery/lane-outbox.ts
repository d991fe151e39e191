/**
 * The reads of all lanes, gathered: those that are wanted at the same moment become one statement. A burst of
 * commits to several agents then costs few round trips, and a single one is read at once.
 */
import type { AgentId } from '../../domain/ids.ts'
import type { LaneDue, LaneOutbox, LaneRead, Outbox } from '../../domain/ports/delivery.ts'
import { createBatch } from './batch.ts'

const EVERY_MS = 2
const LANES_AT_ONCE = 64
const NOTHING: LaneDue = { commands: [], readUpTo: null }

export const createLaneOutbox = (outbox: Outbox): LaneOutbox => {
  const reads = createBatch<LaneRead, LaneDue>((wanted) => read(outbox, wanted), {
    minIntervalMs: EVERY_MS,
    maxItems: LANES_AT_ONCE,
  })
  return {
    due: reads.add,
    note: outbox.note,
  }
}

/** An agent has two lanes for a moment when a newer connection replaces one: only the newer can hold the lease. */
const read = async (outbox: Outbox, wanted: readonly LaneRead[]): Promise<readonly LaneDue[]> => {
  const newest = new Map<AgentId, LaneRead>()
  for (const lane of wanted) {
    const known = newest.get(lane.peer.agentId)
    if (known === undefined || known.peer.epoch < lane.peer.epoch) newest.set(lane.peer.agentId, lane)
  }
  const lanes = [...newest.values()]
  const answers = await outbox.due(lanes)
  const byLane = new Map(lanes.map((lane, index) => [lane, answers[index] ?? NOTHING]))
  return wanted.map((lane) => byLane.get(lane) ?? NOTHING)
}
