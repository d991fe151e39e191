/** What inventories are compared with. Asked of one agent at a time, and answered for many: thousands come back at once. */
import type { AgentId, SessionId } from '../ids.ts'
import type { Session } from '../session/session.ts'
import type { InventoryEntry } from './delivery.ts'

export type ToldBy = { readonly agentId: AgentId; readonly inventory: readonly InventoryEntry[] }

export type ComparedWith = {
  readonly agentId: AgentId
  readonly mentioned: readonly SessionId[]
  /** Left out, as they say nothing new (`asTold`). */
  readonly asTold: ReadonlySet<SessionId>
}

/** `sessions`: entries that are sessions of this agent. */
export type NoOrphans = { readonly agentId: AgentId; readonly sessions: number }

export type InventoryReads = {
  /**
   * Of an inventory's entries, those that tell nothing new: settled as asked, and nothing of them is on its way. Most of
   * most inventories; it may leave some out.
   */
  readonly asTold: (told: ToldBy) => Promise<ReadonlySet<SessionId>>
  /**
   * The agent's sessions, tombstones it has not confirmed, and those it mentions. Left out is what it does not mention and
   * has not seen yet, while the command for it is due anyway.
   */
  readonly sessions: (compared: ComparedWith) => Promise<readonly Session[]>
  /** Whether an inventory without orphans changes nothing of what is recorded of this agent's: so it is with most. */
  readonly isRecorded: (inventory: NoOrphans) => Promise<boolean>
}

/** The same of many agents, answered in order. */
export type InventoryBatches = {
  readonly [Read in keyof InventoryReads]: (
    asked: readonly Parameters<InventoryReads[Read]>[0][],
  ) => Promise<readonly Awaited<ReturnType<InventoryReads[Read]>>[]>
}
