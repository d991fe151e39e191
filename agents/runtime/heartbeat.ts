/** Heartbeats: on the same socket as everything else, so that they say the connection lives and not just the process. */
import type { Frame, WireCapacity } from '../protocol.ts'
import type { CapacityReader } from './capacity.ts'
import { inventoryHash } from './inventory.ts'
import type { Link } from './link.ts'
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

/** Beats until the returned function is called. */
export const startHeartbeats = (
  link: Link,
  intervalMs: number,
  platform: Pick<Platform, 'inventory'>,
  capacity: Pick<CapacityReader, 'news'>,
): (() => void) => {
  const timer = setInterval(() => link.send(heartbeatFrame(platform, new Date(), capacity.news())), intervalMs)
  return () => clearInterval(timer)
}
