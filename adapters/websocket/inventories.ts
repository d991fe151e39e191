/**
 * The inventories of one connection: puts them together, remembers what was said since, and asks for
 * another when the agent's heartbeat shows that something was lost, or when one could not be written.
 */
import { randomUUID } from 'node:crypto'
import type { Frame } from '../../agents/protocol.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry, WireReport } from '../../domain/ports/delivery.ts'
import { createExpectedInventory } from './expected-inventory.ts'
import { createInventoryCollector } from './inventory-collector.ts'
import type { Reports } from './reports.ts'
import type { Timing } from './timing.ts'

export type InventoriesDeps = {
  readonly timing: Timing
  readonly settings: { readonly inventoryRequestIntervalMs: number }
  readonly ask: (requestId: string) => void
  readonly reports: Pick<Reports, 'isHeldUp' | 'hasWaiting'>
  readonly handOver: (items: readonly InventoryEntry[], bytes: number) => Promise<void>
}

export type Inventories = {
  readonly page: (frame: Frame<'inventory'>, bytes: number) => 'taken' | 'too_large'
  /** What a status or a result says of a session; null: nothing is left of it. */
  readonly said: (sessionId: SessionId, generation: number, report: WireReport | null) => void
  /** The hash of a heartbeat. */
  readonly compare: (hash: string) => void
  readonly request: () => void
  /** The agent knows a generation that nobody has asked for: the database may have been restored meanwhile. */
  readonly ahead: () => void
  /** All reports before now are written. */
  readonly caughtUp: () => void
  /** Reports were written later than what came after them. */
  readonly reportsWereLate: () => void
  readonly databaseWorks: () => void
}

export const createInventories = (deps: InventoriesDeps): Inventories => {
  const { timing, reports } = deps
  const collector = createInventoryCollector()
  const expected = createExpectedInventory()
  const { inventoryRequestIntervalMs } = deps.settings
  const since = timing.now()
  let askedAt = Number.NEGATIVE_INFINITY
  /** Owed: one was dropped, or reports older than it were written after it. A fresh one puts that right. */
  let order: 'kept' | 'before reports' | 'owed' = 'kept'

  /** It was about a newer generation than the row's, and no inventory has been asked for since. */
  let isAhead = false

  const request = (): void => {
    isAhead = false
    askedAt = timing.now()
    deps.ask(randomUUID())
  }

  return {
    page: (frame, bytes) => {
      const collected = collector.page(frame, bytes, timing.now())
      if (collected.kind === 'incomplete') return 'taken'
      if (collected.kind === 'too_large') return 'too_large'
      expected.replace(collected.items)
      if (reports.isHeldUp()) {
        order = 'owed'
        return 'taken'
      }
      if (reports.hasWaiting() && order === 'kept') order = 'before reports'
      deps.handOver(collected.items, collected.bytes).catch(() => {
        order = 'owed'
      })
      return 'taken'
    },
    said: (sessionId, generation, report) => {
      collector.said(sessionId, generation, report)
      expected.said(sessionId, generation, report)
    },
    compare: (hash) => {
      const now = timing.now()
      if (now - askedAt < inventoryRequestIntervalMs || collector.isCollecting(now)) return
      if (isAhead) return request()
      // The first one comes by itself after the welcome.
      if (!expected.isKnown() && now - since < inventoryRequestIntervalMs) return
      if (!expected.isKnown() || expected.hash() !== hash) request()
    },
    request,
    // An agent that lies is asked no more often than one whose hash never agrees.
    ahead: () => {
      isAhead = true
      if (timing.now() - askedAt >= inventoryRequestIntervalMs) request()
    },
    caughtUp: () => {
      if (order === 'before reports') order = 'kept'
    },
    reportsWereLate: () => {
      if (order === 'before reports') order = 'owed'
    },
    databaseWorks: () => {
      if (order !== 'owed' || reports.isHeldUp()) return
      order = 'kept'
      request()
    },
  }
}
