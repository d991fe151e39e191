/** Agents, as a server replica has them: how they are woken and reached, and what becomes of what they say. */
import type { Logger } from 'pino'
import type { startBoss } from '../adapters/pgboss/boss.ts'
import { createDrainQueue } from '../adapters/pgboss/drains.ts'
import type { Cursors } from '../adapters/postgres/cursor.ts'
import { createInventoryReads } from '../adapters/postgres/inventory-reads.ts'
import { createLeaseStore } from '../adapters/postgres/leases.ts'
import { createOrphanStore } from '../adapters/postgres/orphans.ts'
import { createOutbox } from '../adapters/postgres/outbox.ts'
import type { Database } from '../adapters/postgres/pool.ts'
import { createReportStore } from '../adapters/postgres/reports.ts'
import { createAgentHub } from '../adapters/websocket/hub.ts'
import type { AgentId, ReplicaId } from '../domain/ids.ts'
import type { Clock, Ids } from '../domain/ports/clock.ts'
import type { Wake } from '../domain/ports/delivery.ts'
import type { SessionStore } from '../domain/ports/sessions.ts'
import { gatherConnects } from './delivery/gathered-connects.ts'
import { gatherInventories } from './delivery/gathered-inventories.ts'
import { passOn, rememberedHolders, WAKES_GO_ASTRAY_FOR_MS } from './delivery/holders.ts'
import { createInventoryRequests } from './delivery/inventory-requests.ts'
import { createLaneOutbox } from './delivery/lane-outbox.ts'
import { createWake } from './delivery/wake.ts'
import type { ServerSettings } from './program/settings.ts'
import type { ServerSecrets } from './server-secrets.ts'
import { createAgentInbox } from './usecases/agent-inbox.ts'
import { applyReports } from './usecases/apply-reports.ts'
import { reconcileInventory } from './usecases/reconcile-inventory.ts'
import { reconcileOrphans } from './usecases/reconcile-orphans.ts'
import { settleRemovals } from './usecases/settle-removals.ts'

export type DeliveryDeps = {
  readonly database: Database
  readonly boss: Awaited<ReturnType<typeof startBoss>>
  readonly sessions: SessionStore
  readonly sealer: ServerSecrets['sealer']
  readonly cursors: Cursors
  readonly clock: Clock
  readonly ids: Ids
  readonly replicaId: ReplicaId
  /** An agent has more room than it had: waiting sessions may be placed. */
  readonly roomFreed: () => void
  readonly log: Logger
}

export const openDelivery = (
  { database, boss, sessions, sealer, cursors, clock, ids, replicaId, roomFreed, log }: DeliveryDeps,
  settings: ServerSettings,
) => {
  const { timeouts } = settings
  const told = (what: string) => (error: unknown) => log.warn({ err: error }, what)
  const leases = gatherConnects(
    createLeaseStore(database, {
      onOlderDatabase: (found) =>
        log.error(
          found,
          found.orgId === null
            ? 'the database is older than a shared agent: was it restored? No orphan is removed until an operator approves'
            : 'the database is older than an org’s own agent: was it restored? No orphan of that org’s agents is removed until an operator approves',
        ),
    }),
  )
  const outbox = createLaneOutbox(
    createOutbox(database, {
      unseal: sealer.unseal,
      startTimeoutMs: timeouts.startMs,
      onUnreadable: (command) =>
        log.error(command, 'secrets of a session cannot be unsealed: was STREAMSPACE_SECRET_KEY changed?'),
    }),
  )
  const reports = createReportStore(database, settings)
  const orphans = createOrphanStore(database, cursors)
  // The hub needs an inbox, the inbox a wake, the wake the hub: the knot is tied through this reference.
  const wakeLater: { current: Wake | null } = { current: null }
  const wake: Wake = { agents: (agentIds) => wakeLater.current?.agents(agentIds) }
  const inventories = gatherInventories(createInventoryReads(database))
  const core = { sessions, inventories, reports, wake, clock, ids, timeouts, capacityFreed: roomFreed }

  const inbox = createAgentInbox({
    leases,
    reports,
    replicaId,
    capacityChanged: roomFreed,
    applyReports: settleRemovals({
      orphans,
      reports,
      random: Math.random,
      told: (answered) => log.info({ answered }, 'removals of orphans were answered'),
      applyReports: applyReports({ ...core, random: Math.random }),
    }),
    reconcileInventory: reconcileInventory({
      ...core,
      reconcileOrphans: reconcileOrphans({
        ...core,
        orphans,
        graceMs: settings.orphanGraceMs,
        told: (report) =>
          report.fresh > 0 || report.held !== null
            ? log.warn(report, 'an agent has sessions that are not its own here (orphans)')
            : log.info(report, 'orphans of an agent'),
      }),
    }),
  })
  const hub = createAgentHub(
    { leases, outbox, inbox, clock, log },
    {
      replicaId,
      heartbeatIntervalMs: settings.heartbeatIntervalMs,
      inventoryIntervalMs: settings.inventoryIntervalMs,
      ackTimeoutMs: settings.ackTimeoutMs,
      wakesGoAstrayForMs: WAKES_GO_ASTRAY_FOR_MS,
    },
  )
  const drains = createDrainQueue(boss)
  wakeLater.current = createWake(
    {
      gateway: hub,
      leases: rememberedHolders(leases),
      drains,
      onError: told('a wake was lost; the sweep finds what it was for'),
    },
    { nudge: settings.nudge },
  )
  const moved = passOn({ leases, drains, replicaId, onError: told('a wake could not be passed on') })
  return {
    hub,
    inbox,
    wake,
    reports,
    /** What waits for an agent is sent, by whoever holds it. */
    drain: (agentId: AgentId): void => (hub.holds(agentId) ? hub.drain(agentId) : moved(agentId)),
    askInventory: createInventoryRequests({
      gateway: hub,
      leases,
      drains,
      onError: told('an agent was not asked for its inventory; it sends one by itself'),
    }),
  }
}
