/** The use case of an inventory, over a report store in memory. */
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry } from '../../domain/ports/delivery.ts'
import type { Session } from '../../domain/session/session.ts'
import { reconcileInventory } from '../../src/usecases/reconcile-inventory.ts'
import { AGENT, aSession, SESSION, timeouts } from './a-session.ts'
import { countedIds, fixedClock, recordedWake } from './fake-ports.ts'
import { reportStore } from './report-store.ts'

export const id = (n: number) => `01890a5d-ac96-774b-bcce-b302099a800${n}` as SessionId
export const anEntry = (changes: Partial<InventoryEntry> = {}): InventoryEntry => ({
  sessionId: SESSION,
  generation: 3,
  status: 'running',
  ...changes,
})

export const reconciling = (
  sessions: readonly Session[],
  setting: {
    epoch?: number
    outpaced?: ReadonlySet<SessionId>
    askedSince?: ReadonlySet<SessionId>
    done?: ReadonlySet<SessionId>
    meanwhile?: ((rows: Map<SessionId, Session>) => void)[]
  } = {},
) => {
  const store = reportStore(sessions, { [AGENT]: setting.epoch ?? 1 }, setting)
  const { wake, woken } = recordedWake()
  const orphans: string[] = []
  let freed = 0
  const reconcile = reconcileInventory({
    inventories: { asTold: async () => new Set(), sessions: async () => [...store.rows.values()] },
    sessions: store,
    reports: store,
    wake,
    clock: fixedClock,
    ids: countedIds(),
    timeouts,
    capacityFreed: () => {
      freed += 1
    },
    reconcileOrphans: async (_peer, { found, resources }) => {
      for (const { entry, reason } of found) orphans.push(`${entry.sessionId} ${reason}, of ${resources}`)
      return 'accepted'
    },
  })
  return {
    told: (entries: readonly InventoryEntry[], spokenSince: readonly SessionId[] = []) =>
      reconcile({ agentId: AGENT, epoch: 1 }, entries, new Set(spokenSince)),
    row: (sessionId = SESSION) => store.rows.get(sessionId),
    store,
    woken,
    orphans,
    freed: () => freed,
  }
}
export const restarting = (policy: 'on-failure' | 'always') => {
  const session = aSession()
  return { ...session, spec: { ...session.spec, restart: { policy } } }
}
