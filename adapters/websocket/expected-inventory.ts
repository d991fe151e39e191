/**
 * What an agent itself last said on this connection of each of its sessions. Its heartbeat carries a hash of
 * what it has: when that differs from this, a frame was lost and a full inventory is asked for. Compared
 * with its own words and not with the database, so that a busy agent is not asked without end.
 */
import { createHash } from 'node:crypto'
import { inventoryText } from '../../agents/protocol.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry, WireReport } from '../../domain/ports/delivery.ts'

export type ExpectedInventory = {
  readonly replace: (items: readonly InventoryEntry[]) => void
  readonly said: (sessionId: SessionId, generation: number, report: WireReport | null) => void
  /** False until there was an inventory. */
  readonly isKnown: () => boolean
  readonly hash: () => string
}

/** With its session's id, so that a hundred thousand of them are hashed without as many copies. */
type Fact = Pick<InventoryEntry, 'sessionId' | 'generation' | 'status'>

const hashOf = (facts: Iterable<Fact>): string => {
  const hash = createHash('sha256')
  for (const piece of inventoryText(facts)) hash.update(piece)
  return hash.digest('hex')
}
const HASH_OF_NOTHING = hashOf([])

export const createExpectedInventory = (): ExpectedInventory => {
  let facts: Map<SessionId, Fact> | null = null
  let hash: string | null = null

  return {
    replace: (items) => {
      facts = new Map(items.map(({ sessionId, generation, status }) => [sessionId, { sessionId, generation, status }]))
      hash = null
    },
    said: (sessionId, generation, report) => {
      if (facts === null) return // the first inventory is still to come, and says it all
      const before = facts.get(sessionId)
      if (generation < (before?.generation ?? 0)) return
      if (report === null) facts.delete(sessionId)
      else if (before?.generation === generation && before.status === report.status) return
      else facts.set(sessionId, { sessionId, generation, status: report.status })
      hash = null
    },
    isKnown: () => facts !== null,
    hash: () => {
      if (facts === null || facts.size === 0) return HASH_OF_NOTHING
      hash ??= hashOf(facts.values())
      return hash
    },
  }
}
