/**
 * Decides what goes to the server next: facts that wait first, then whether the platform can be used, then
 * the inventory, page by page, so that an inventory is never older than a fact told after it. A slow socket
 * stops it, facts collect meanwhile (`report-buffer.ts`), and it goes on when the socket has caught up.
 * Acks, heartbeats and answers to bad frames are small and do not wait here.
 */
import type { Frame } from '../protocol.ts'
import { type InventoryPages, inventoryPages } from './inventory.ts'
import type { Link } from './link.ts'
import type { Platform } from './platform.ts'
import { createReportBuffer, type Report } from './report-buffer.ts'

export type Outflow = {
  /** Never lost for want of a socket. */
  readonly report: (report: Report) => void
  /** A hint: told now or never. */
  readonly hint: (frame: Frame<'activity'>) => void
  readonly degraded: (reason: string | null) => void
  /** After a welcome: everything kept, then a full inventory. */
  readonly open: (link: Link) => void
  readonly requestInventory: (requestId: string | null) => void
  readonly close: () => void
}

/** Requests beyond these are answered by the inventories that answer the others. */
const MOST_REQUESTS = 8

export const createOutflow = (platform: Pick<Platform, 'inventory' | 'held' | 'adopted'>): Outflow => {
  const kept = createReportBuffer()
  let link: Link | null = null
  let reason: string | null = null
  let reasonTold: string | null = null
  let sayReason = false
  let pages: InventoryPages | null = null
  let requests: (string | null)[] = []

  const nextPage = (): Frame<'inventory'> | null => {
    // What was asked for is answered when it is known what there is.
    if (platform.adopted?.() === false) return null
    for (;;) {
      const page = pages?.next() ?? null
      if (page !== null) return page
      const request = requests.shift()
      if (request === undefined) {
        pages = null
        return null
      }
      pages = inventoryPages(platform, request)
    }
  }

  const nextReason = (): Frame<'degraded'> | null => {
    if (!sayReason) return null
    sayReason = false
    reasonTold = reason
    return { type: 'degraded', reason: reason?.slice(0, 1_024) ?? null }
  }

  const pump = (): void => {
    while (link?.isOpen()) {
      if (link.isCongested()) {
        link.onceWritable(pump)
        return
      }
      const fact = kept.take() ?? nextReason()
      if (fact !== null) {
        link.send(fact)
        continue
      }
      const page = nextPage()
      if (page === null) return
      link.send(page)
      // Commands and pings get their turn between two pages of a large inventory.
      if (!page.final) {
        setImmediate(pump)
        return
      }
    }
  }

  return {
    report: (report) => {
      kept.put(report)
      pump()
    },
    hint: (frame) => {
      if (link !== null && !link.isCongested()) link.send(frame)
    },
    degraded: (now) => {
      if (now === reason) return
      reason = now
      sayReason = true
      pump()
    },
    open: (opened) => {
      link = opened
      pages = null
      requests = [null]
      // Null is worth saying only to take back what was said on an earlier connection.
      sayReason = reason !== null || reasonTold !== null
      pump()
    },
    requestInventory: (requestId) => {
      // One that nobody asked for by name adds nothing to one that is waiting.
      if (requestId === null && (pages !== null || requests.length > 0)) return
      if (requestId !== null && requests.includes(requestId)) return
      requests = [...requests, requestId].slice(-MOST_REQUESTS)
      pump()
    },
    close: () => {
      link = null
      pages = null
      requests = []
    },
  }
}
