/**
 * The orphans of an inventory: written down, and removed when a later inventory still has them after their grace
 * and the brake allows (`domain/agent/brake.ts`).
 */
import { brake } from '../../domain/agent/brake.ts'
import type { AgentId, CommandId, SessionId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { Ids } from '../../domain/ports/clock.ts'
import type { ReportAnswer, Wake } from '../../domain/ports/delivery.ts'
import type { InventoryReads } from '../../domain/ports/inventories.ts'
import type { FoundOrphan, OrphanStore } from '../../domain/ports/orphans.ts'

export type OrphanReport = {
  readonly agentId: AgentId
  /** Seen for the first time, not there any more, and being removed from now on. */
  readonly fresh: number
  readonly ended: number
  readonly removing: number
  /** Why what is due is not removed; told once, when it begins. */
  readonly held: string | null
}

export type ReconcileOrphansDeps = {
  readonly inventories: Pick<InventoryReads, 'isRecorded'>
  readonly orphans: Pick<OrphanStore, 'record' | 'remove'>
  readonly ids: Ids
  readonly wake: Wake
  readonly graceMs: number
  /** Something happened to orphans. */
  readonly told: (report: OrphanReport) => void
}

export type AgentsOrphans = {
  readonly found: readonly FoundOrphan[]
  /** All entries of the inventory. */
  readonly resources: number
  readonly spokenSince: ReadonlySet<SessionId>
}

/** Commands in one transaction, and transactions for one inventory; what is left is due at the next one. */
export const REMOVALS_AT_ONCE = 1_000
const MOST_ROUNDS = 100

export const reconcileOrphans =
  (deps: ReconcileOrphansDeps) =>
  async (peer: Peer, { found, resources, spokenSince }: AgentsOrphans): Promise<ReportAnswer> => {
    const { graceMs } = deps
    const sessions = resources - found.length
    if (found.length === 0 && (await deps.inventories.isRecorded({ agentId: peer.agentId, sessions })))
      return 'accepted'
    const recorded = await deps.orphans.record(peer, { found, sessions, spokenSince, graceMs })
    if (recorded.kind === 'fenced') return 'fenced'
    let removing = 0
    let held: string | null = null
    for (let round = 0, left = recorded.due; left > 0 && round < MOST_ROUNDS; round += 1) {
      const ids = commandIds(deps.ids, left)
      const begun = await deps.orphans.remove(peer, { at: recorded.at, resources, graceMs }, ids, brake)
      if (begun.kind === 'fenced') return 'fenced'
      removing += begun.removing
      if (begun.held !== null && !begun.heldBefore) held = begun.held
      left = begun.removing < ids.length ? 0 : left - begun.removing
    }
    if (removing > 0) deps.wake.agents([peer.agentId])
    const { fresh, ended } = recorded
    if (fresh + ended + removing > 0 || held !== null)
      deps.told({ agentId: peer.agentId, fresh, ended, removing, held })
    return 'accepted'
  }

export const commandIds = (ids: Ids, count: number): readonly CommandId[] =>
  Array.from({ length: Math.min(count, REMOVALS_AT_ONCE) }, () => ids.command())
