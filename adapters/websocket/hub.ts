/**
 * The agent hub: every agent's socket of this replica, from the upgrade to the close, with a lane for each.
 * It keeps no truth. What it holds can be lost at any moment (kill -9); leases, outbox and inventories bring
 * it back.
 */
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { closeCodes } from '../../agents/protocol.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { AgentIdentity, Peer } from '../../domain/ports/agents.ts'
import type { AgentGateway } from '../../domain/ports/delivery.ts'
import { closeHub, sayBye } from './close.ts'
import { type Connection, createConnection } from './connection.ts'
import { countedInbox } from './counted-inbox.ts'
import { createDatabaseState } from './database-state.ts'
import { createFrameSocket, type FrameSocket } from './frame-socket.ts'
import { greet } from './hello.ts'
import { createLeaseWatch } from './lease-watch.ts'
import { createLimiter } from './limiter.ts'
import { createLiveness } from './liveness.ts'
import { createNotes } from './notes.ts'
import { createReleases } from './releases.ts'
import { type HubDeps, type HubSettings, resolveSettings } from './settings.ts'
import { createTurns } from './turns.ts'
import { createUpgrades } from './upgrade.ts'

export type AgentHubStats = {
  readonly connections: number
  /** Between the upgrade and the welcome. */
  readonly connecting: number
  /** Commands sent and not acked. */
  readonly inFlight: number
  /** Frames that wait to be committed. */
  readonly waitingFrames: number
  /** Sockets that are not read, as too many of their frames wait. */
  readonly pausedSockets: number
  /** Sockets that do not take what is sent to them. */
  readonly stalledSockets: number
}

export type AgentHub = AgentGateway & {
  /** Answers upgrades of this server. */
  readonly attach: (server: Server) => void
  /**
   * The leases that this replica held are free or another's: nothing more is said under them. Its agents are told to
   * come back, wherever they then arrive.
   */
  readonly standDown: (reason: string) => void
  /** Says bye, closes every socket, writes what can be written and gives the leases up; takes a bounded time. */
  readonly close: (how: { readonly reason: string }) => Promise<void>
  readonly stats: () => AgentHubStats
}

/** Reads of lanes that are asked for at once: those that wait together become one statement (`src/delivery/lane-outbox.ts`). */
const READS_AT_ONCE = 64
/** The same of agents that knock or say hello (`src/delivery/gathered-connects.ts`). */
const CONNECTS_AT_ONCE = 256

export const createAgentHub = (deps: HubDeps, given: HubSettings): AgentHub => {
  const settings = resolveSettings(given)
  const { timing } = settings
  const { log, clock, leases, outbox } = deps
  const database = createDatabaseState(log, timing)
  const notes = createNotes(outbox, database, timing)
  const inbox = countedInbox(deps.inbox, database)
  const reads = createLimiter(READS_AT_ONCE)
  const connects = createLimiter(CONNECTS_AT_ONCE)
  const liveness = createLiveness(settings.heartbeatIntervalMs, timing)
  const watch = createLeaseWatch(leases, settings.replicaId, database, timing)
  const releases = createReleases(leases, settings.replicaId, database, timing)
  const lane = { outbox, notes, clock, log, database, reads, timing, settings }
  const turns = createTurns()
  const byAgent = new Map<AgentId, Connection>()
  const sockets = new Set<FrameSocket>()
  let closing: Promise<void> | null = null

  const opened = (webSocket: WebSocket, stream: Duplex, identity: AgentIdentity, leave: () => void): void => {
    const socket = createFrameSocket(webSocket, stream, timing, turns)
    sockets.add(socket)
    socket.closed = () => sockets.delete(socket)
    greet({ leases, database, timing, connects, settings }, socket, identity)
      .then((lease) => {
        if (lease !== null) welcome(socket, { agentId: identity.agentId, epoch: lease.epoch }, identity.tokenHash)
      })
      .catch((error: unknown) => {
        log.error({ err: error, agentId: identity.agentId }, 'agent could not be welcomed')
        socket.terminate()
      })
      .finally(leave)
  }

  const welcome = (socket: FrameSocket, peer: Peer, tokenHash: Buffer | undefined): void => {
    const older = byAgent.get(peer.agentId)
    if (older !== undefined && older.peer.epoch >= peer.epoch) {
      socket.end(closeCodes.replaced, 'replaced by a newer connection')
      return
    }
    // It has lost the lease already, so nothing more may go out on it, whatever becomes of the new one.
    older?.stop()
    if (socket.isOver()) releases.release(peer)
    else speakWith(socket, peer, tokenHash)
    older?.socket.end(closeCodes.replaced, 'replaced by a newer connection')
  }

  const speakWith = (socket: FrameSocket, peer: Peer, tokenHash: Buffer | undefined): void => {
    releases.forget(peer.agentId)
    const watched = { ...peer, tokenHash, end: socket.end }
    const fenced = (): void => watch.fenced(watched)
    const filled = (): void => liveness.filled(connection)
    const connection = createConnection({ inbox, lane, log, timing, settings, fenced, filled }, peer, socket)
    byAgent.set(peer.agentId, connection)
    liveness.add(connection)
    watch.add(watched)
    const { wakesGoAstrayForMs } = settings
    const cancelSecondDrain =
      wakesGoAstrayForMs > 0 ? timing.after(wakesGoAstrayForMs, connection.lane.drain) : () => {}
    socket.ended = () => {
      cancelSecondDrain()
      watch.remove(watched)
      gone(connection)
    }
    log.info(peer, 'agent connected')
    socket.send({
      type: 'welcome',
      epoch: peer.epoch,
      replicaId: settings.replicaId,
      heartbeatIntervalMs: settings.heartbeatIntervalMs,
      inventoryIntervalMs: settings.inventoryIntervalMs,
      serverTime: clock.now().toISOString(),
    })
    connection.lane.drain()
  }

  const gone = (connection: Connection): void => {
    const { peer, socket } = connection
    connection.stop()
    liveness.remove(connection)
    log.info({ ...peer, why: socket.whyEnded() }, 'agent disconnected')
    // A newer connection has the lease already.
    if (byAgent.get(peer.agentId) !== connection) return
    byAgent.delete(peer.agentId)
    releases.release(peer)
  }

  const upgrades = createUpgrades({
    leases,
    database,
    timing,
    turns,
    connects,
    maxUpgrades: settings.maxUpgrades,
    opened,
  })

  return {
    holds: (agentId) => byAgent.has(agentId),
    drain: (agentId) => byAgent.get(agentId)?.lane.drain(),
    requestInventory: (agentId) => byAgent.get(agentId)?.requestInventory(),
    disconnect: (agentId, code, reason) => byAgent.get(agentId)?.socket.end(code, reason),
    attach: (server) => {
      server.on('upgrade', (request, socket, head) =>
        upgrades.handle(request, socket, head, server.listenerCount('upgrade') === 1),
      )
    },
    standDown: (reason) => {
      const connections = [...byAgent.values()]
      log.warn({ agents: connections.length }, reason)
      for (const connection of connections) connection.stop()
      sayBye(
        connections.map(({ socket }) => socket),
        reason,
        timing,
      )
    },
    close: ({ reason }) => {
      upgrades.close()
      liveness.stop()
      watch.stop()
      closing ??= closeHub({ sockets, inbox, notes, releases, timing, withinMs: settings.closeTimeoutMs }, reason)
      return closing
    },
    stats: () => {
      const stats = { inFlight: 0, waitingFrames: 0, pausedSockets: 0, stalledSockets: 0 }
      for (const { lane: its, socket } of byAgent.values()) {
        stats.inFlight += its.inFlight()
        stats.waitingFrames += socket.waiting()
        if (socket.readSince() === null) stats.pausedSockets++
        if (its.stalledSince() !== null) stats.stalledSockets++
      }
      return { connections: byAgent.size, connecting: upgrades.inProgress(), ...stats }
    },
  }
}
