/** What the hub hands to the core, gathered into batches: never one write a frame. */
import type { AgentId, ReplicaId, SessionId } from '../../domain/ids.ts'
import type { Heartbeat, LeaseStore, Peer } from '../../domain/ports/agents.ts'
import type { AgentInbox, InventoryEntry, ReportAnswer } from '../../domain/ports/delivery.ts'
import type { ReportStore } from '../../domain/ports/reports.ts'
import { createBatch } from '../delivery/batch.ts'
import { createNewestOnly } from '../delivery/newest-only.ts'
import type { AgentReport } from './apply-reports.ts'

export type AgentInboxDeps = {
  readonly leases: Pick<LeaseStore, 'heartbeat'>
  readonly reports: Pick<ReportStore, 'activity'>
  readonly applyReports: (items: readonly AgentReport[]) => Promise<readonly ReportAnswer[]>
  readonly reconcileInventory: (
    peer: Peer,
    items: readonly InventoryEntry[],
    spokenSince: ReadonlySet<SessionId>,
  ) => Promise<ReportAnswer>
  readonly replicaId: ReplicaId
  /** An agent offers more than it did: waiting sessions may be placed. */
  readonly capacityChanged: () => void
}

/** At most 20 report statements a second, however many frames arrive; one that comes alone is written at once. */
const REPORTS_EVERY_MS = 50
const HEARTBEATS_EVERY_MS = 250
const ACTIVITY_EVERY_MS = 1_000

const byTime = (a: { readonly at: Date }, b: { readonly at: Date }): number => a.at.getTime() - b.at.getTime()

export const createAgentInbox = (deps: AgentInboxDeps): AgentInbox & { readonly idle: () => Promise<void> } => {
  const reports = createBatch(deps.applyReports, { minIntervalMs: REPORTS_EVERY_MS, maxItems: 1_000 })

  const heartbeats = createBatch(
    async (beats: readonly Heartbeat[]): Promise<readonly ReportAnswer[]> => {
      const fenced = new Set(await deps.leases.heartbeat(beats, deps.replicaId))
      if (beats.some((beat) => beat.capacity !== null)) deps.capacityChanged()
      return beats.map((beat) => (fenced.has(beat) ? 'fenced' : 'accepted'))
    },
    { minIntervalMs: HEARTBEATS_EVERY_MS, maxItems: 5_000 },
  )

  type Touched = { readonly peer: Peer; readonly sessionId: SessionId; readonly at: Date }
  const activity = createBatch(
    async (touched: readonly Touched[]): Promise<readonly ReportAnswer[]> => {
      // The latest of each connection: what another says of a session that is not its own must not push the owner's out.
      const key = ({ peer, sessionId }: Touched): string => `${peer.agentId}/${peer.epoch}/${sessionId}`
      const latest = new Map(touched.toSorted(byTime).map((one) => [key(one), one]))
      const answers = await deps.reports.activity([...latest.values()])
      const byKey = new Map([...latest.keys()].map((one, index) => [one, answers[index] ?? 'accepted']))
      return touched.map((one) => byKey.get(key(one)) ?? 'accepted')
    },
    { minIntervalMs: ACTIVITY_EVERY_MS, maxItems: 5_000 },
  )

  // While an inventory waits to be compared with the rows, and is compared, the agent goes on reporting. What it says of
  // a session after the inventory is newer than the inventory: a session that began to run meanwhile is not "missing" from it.
  // `superseded` says nothing of what is there: after a restore of the database it is the answer to every old
  // command, and would hide from the row the newer generation that the inventory tells.
  const inventories = new Map<AgentId, Set<Set<SessionId>>>()
  const report = (item: AgentReport): Promise<ReportAnswer> => {
    if (item.kind === 'status' || item.result.outcome !== 'superseded')
      for (const spokenSince of inventories.get(item.peer.agentId) ?? []) spokenSince.add(item.sessionId)
    return reports.add(item)
  }

  const oneAtATime = createNewestOnly<AgentId, ReportAnswer>('accepted')
  const compare = async (peer: Peer, items: readonly InventoryEntry[]): Promise<ReportAnswer> => {
    const spokenSince = new Set<SessionId>()
    const underWay = inventories.get(peer.agentId) ?? new Set()
    inventories.set(peer.agentId, underWay.add(spokenSince))
    try {
      return await oneAtATime(peer.agentId, () => deps.reconcileInventory(peer, items, spokenSince))
    } finally {
      underWay.delete(spokenSince)
      if (underWay.size === 0) inventories.delete(peer.agentId)
    }
  }

  return {
    result: (peer, result) => report({ kind: 'result', peer, sessionId: result.sessionId, result }),
    status: (peer, sessionId, generation, said) => report({ kind: 'status', peer, sessionId, generation, said }),
    inventory: compare,
    heartbeat: heartbeats.add,
    activity: (peer, sessionId, at) => activity.add({ peer, sessionId, at }),
    idle: async () => {
      await Promise.all([reports.idle(), heartbeats.idle(), activity.idle()])
    },
  }
}
