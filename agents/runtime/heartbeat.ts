/** Heartbeats: on the same socket as everything else, so that they say the connection lives and not just the process. */
import type { Frame, WireCapacity } from '../protocol.ts'
import { inventoryHash } from './inventory.ts'
import type { Platform } from './platform.ts'

/** `capacity` only when there is something new to say. */
export const heartbeatFrame = (
  platform: Pick<Platform, 'inventory'>,
  at: Date,
  capacity: WireCapacity | null,
): Frame<'heartbeat'> => {
  const items = platform.inventory()
  return {
    type: 'heartbeat',
    at: at.toISOString(),
    activeSessions: items.filter((item) => item.status === 'running' || item.status === 'starting').length,
    inventoryHash: inventoryHash(items),
    ...(capacity === null ? {} : { capacity }),
  }
}

export type Heartbeats = {
  /** The server has pinged, which it does every interval. */
  readonly pinged: () => void
  readonly stop: () => void
}

/** How much later than an interval a ping may come before the heartbeat goes without it. */
const PING_IS_LATE = 1.25

/**
 * Beats every interval: together with the pong where there is a ping, so that the server reads both at once instead of
 * waking up twice for each of its agents, and by its own timer where there is none.
 */
export const startHeartbeats = (beat: () => void, intervalMs: number): Heartbeats => {
  let lastAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout
  let stopped = false

  const beatNow = (): void => {
    lastAt = performance.now()
    beat()
  }
  const beatAfter = (ms: number): void => {
    timer = setTimeout(() => {
      beatNow()
      beatAfter(intervalMs)
    }, ms)
  }
  beatAfter(intervalMs)
  return {
    pinged: () => {
      if (stopped) return
      clearTimeout(timer)
      if (performance.now() - lastAt >= intervalMs / 2) beatNow()
      beatAfter(intervalMs * PING_IS_LATE)
    },
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
