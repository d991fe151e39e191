/** What the hub is given, and the limits it keeps. */

import { HELLO_TIMEOUT_MS } from '../../agents/protocol.ts'
import type { ReplicaId } from '../../domain/ids.ts'
import type { LeaseStore } from '../../domain/ports/agents.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import type { AgentInbox, LaneOutbox } from '../../domain/ports/delivery.ts'
import { realTiming, type Timing } from './timing.ts'

type Write = (fields: object, message: string) => void
/** As much of pino as the hub uses. */
export type Log = { readonly debug: Write; readonly info: Write; readonly warn: Write; readonly error: Write }

export type HubDeps = {
  readonly leases: LeaseStore
  readonly outbox: LaneOutbox
  readonly inbox: AgentInbox
  readonly clock: Clock
  readonly log: Log
}

export type HubSettings = {
  readonly replicaId: ReplicaId
  readonly heartbeatIntervalMs: number
  readonly inventoryIntervalMs: number
  readonly ackTimeoutMs: number
  /** Upgrades between the request and the welcome; more are told to come back (503). */
  readonly maxUpgrades?: number
  /** Commands on their way to one agent without an ack. */
  readonly window?: number
  /** The same in bytes. One frame is always let through, however large. */
  readonly windowBytes?: number
  readonly helloTimeoutMs?: number
  /** Between two inventories that the server asks one agent for by itself. */
  readonly inventoryRequestIntervalMs?: number
  /** What `close` may take before it leaves the rest to the agents' next connection. */
  readonly closeTimeoutMs?: number
  /**
   * For so long after an agent has come, others may still wake the replica that held it before, which may be dead or not
   * know it yet. What they committed is read when that is over.
   */
  readonly wakesGoAstrayForMs?: number
  readonly timing?: Timing
}

export type ResolvedSettings = Required<HubSettings>

/** Between two, however slow the heartbeat; with a quick one as many heartbeats as make the default, so that all bounds shrink alike. */
const INVENTORY_REQUESTS_AT_LEAST_MS = 30_000

export const resolveSettings = (settings: HubSettings): ResolvedSettings => ({
  maxUpgrades: 200,
  window: 256,
  windowBytes: 1024 * 1024,
  helloTimeoutMs: HELLO_TIMEOUT_MS,
  inventoryRequestIntervalMs: Math.min(INVENTORY_REQUESTS_AT_LEAST_MS, 3 * settings.heartbeatIntervalMs),
  closeTimeoutMs: 5_000,
  wakesGoAstrayForMs: 0,
  timing: realTiming,
  ...settings,
})

/** Above this much unsent on a socket nothing more is sent to it, and below the other it goes on. */
export const SEND_HIGH_WATER_BYTES = 1024 * 1024
export const SEND_LOW_WATER_BYTES = 256 * 1024

/** A socket is not read while more of its frames than this wait to be committed. */
export const MAX_WAITING_FRAMES = 1_000
export const MAX_WAITING_BYTES = 16 * 1024 * 1024

/** The twentieth bad frame within a minute closes a socket. */
export const BAD_FRAMES = 20
export const BAD_FRAMES_WITHIN_MS = 60_000

/** Sockets of one agent that have not been welcomed yet: one token must not use up the room of all. */
export const MAX_UNWELCOMED_PER_AGENT = 4
