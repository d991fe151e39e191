/**
 * Pings every socket once a heartbeat interval and closes those that have fallen silent. One timer for all
 * of them: the interval is cut into slots, and each tick looks after the sockets of one slot, so that ten
 * thousand pings do not leave in the same millisecond.
 */
import { closeCodes } from '../../agents/protocol.ts'
import { OFFLINE_AFTER_INTERVALS } from '../../domain/agent/agent.ts'
import type { Connection } from './connection.ts'
import type { Timing } from './timing.ts'

export type Liveness = {
  readonly add: (connection: Connection) => void
  readonly remove: (connection: Connection) => void
  /** It has stopped taking what is sent to it. */
  readonly filled: (connection: Connection) => void
  readonly stop: () => void
}

/** `silentFrom`: its silence is not too long before, so that most are passed by. */
type Watched = { readonly connection: Connection; silentFrom: number }

const SLOTS = 16
/** Silence is looked for more often than once an interval: this many ticks apart. */
const LOOK_EVERY = 4

export const createLiveness = (heartbeatIntervalMs: number, timing: Timing): Liveness => {
  const slots: Set<Watched>[] = Array.from({ length: SLOTS }, () => new Set())
  /** Those that did not take what was sent when they were last looked after. */
  const full = new Set<Connection>()
  const places = new Map<Connection, readonly [slot: Set<Watched>, watched: Watched]>()
  const tickMs = heartbeatIntervalMs / SLOTS
  const limitMs = OFFLINE_AFTER_INTERVALS * heartbeatIntervalMs
  let current = 0
  let added = 0
  let nextAt = 0
  /** After this process stood still, what agents sent meanwhile has not been read yet. */
  let forgivenUntil = 0
  let cancelTimer: (() => void) | null = null

  const schedule = (now: number): void => {
    cancelTimer ??= timing.after(Math.max(1, nextAt - now), tick)
  }

  /** As many slots as time has passed for: timers are late by a little each, and that must not add up. */
  const tick = (): void => {
    cancelTimer = null
    const now = timing.now()
    if (now - nextAt > heartbeatIntervalMs) {
      forgivenUntil = now + heartbeatIntervalMs
      nextAt = now
    }
    for (; nextAt <= now; nextAt += tickMs) lookAfterNextSlot(now)
    if (places.size > 0) schedule(now)
  }

  const lookAfterNextSlot = (now: number): void => {
    current = (current + 1) % SLOTS
    for (const { connection } of slots[current] ?? []) connection.socket.ping()
    for (let slot = current % LOOK_EVERY; slot < SLOTS; slot += LOOK_EVERY)
      for (const watched of slots[slot] ?? []) if (watched.silentFrom < now) look(watched, now)
    for (const connection of full) lookAfterStall(connection, now)
  }

  const look = (watched: Watched, now: number): void => {
    const { connection } = watched
    const { socket } = connection
    const readSince = socket.readSince()
    const heardAt = readSince === null ? now : Math.max(readSince, connection.lastHeartbeatAt())
    if (now - heardAt > limitMs && now > forgivenUntil)
      socket.end(closeCodes.silent, `no heartbeat for ${OFFLINE_AFTER_INTERVALS} intervals`)
    watched.silentFrom = heardAt + limitMs
  }

  const lookAfterStall = (connection: Connection, now: number): void => {
    const stalledSince = connection.lane.stalledSince()
    if (stalledSince === null) full.delete(connection)
    else if (now - stalledSince > limitMs) connection.socket.terminate()
  }

  return {
    add: (connection) => {
      const slot = slots[added++ % SLOTS] ?? new Set()
      const watched: Watched = { connection, silentFrom: Number.NEGATIVE_INFINITY }
      slot.add(watched)
      places.set(connection, [slot, watched])
      if (cancelTimer !== null) return
      nextAt = timing.now() + tickMs
      schedule(timing.now())
    },
    remove: (connection) => {
      const place = places.get(connection)
      place?.[0].delete(place[1])
      places.delete(connection)
      full.delete(connection)
    },
    filled: (connection) => {
      if (places.has(connection)) full.add(connection)
    },
    stop: () => {
      cancelTimer?.()
      cancelTimer = null
    },
  }
}
