/**
 * Puts the pages of an inventory together. Pages are read when they are sent, so what the agent says of a
 * session between two pages is newer than an earlier page and older than a later one: it is woven in, or the
 * complete inventory would contradict what was reported before it.
 */
import type { Frame } from '../../agents/protocol.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry, WireReport } from '../../domain/ports/delivery.ts'

export type Collected =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'complete'; readonly items: readonly InventoryEntry[]; readonly bytes: number }
  | { readonly kind: 'too_large' }

export type InventoryCollector = {
  readonly page: (frame: Frame<'inventory'>, bytes: number, now: number) => Collected
  /** What was said of one session; null: nothing is left of it. */
  readonly said: (sessionId: SessionId, generation: number, report: WireReport | null) => void
  /** Whether more pages are to be expected: not for ever of someone who has stopped in the middle. */
  readonly isCollecting: (now: number) => boolean
}

const MAX_ITEMS = 100_000
const MAX_BYTES = 64 * 1024 * 1024
/** Inventories begun and given up whose last page has not come. */
const MAX_ABANDONED = 16
const PAGE_TIMEOUT_MS = 30_000

type Collection = {
  readonly key: string
  readonly items: Map<SessionId, InventoryEntry>
  bytes: number
  pageAt: number
}

export const createInventoryCollector = (): InventoryCollector => {
  let current: Collection | null = null
  /** The rest of these is ignored: taken for a whole inventory, it would say that sessions are gone. */
  let abandoned: Set<string> | null = null // of nearly all connections none ever is

  const abandon = (): void => {
    if (current === null) return
    abandoned ??= new Set()
    abandoned.add(current.key)
    current = null
    if (abandoned.size > MAX_ABANDONED) for (const oldest of [...abandoned].slice(0, 1)) abandoned.delete(oldest)
  }

  return {
    page: (frame, bytes, now) => {
      const key = frame.requestId ?? ''
      if (abandoned?.has(key)) {
        if (frame.final) abandoned.delete(key)
        return { kind: 'incomplete' }
      }
      if (current !== null && current.key !== key) abandon()
      current ??= { key, items: new Map(), bytes: 0, pageAt: now }
      current.pageAt = now
      current.bytes += bytes
      for (const item of frame.items) current.items.set(item.sessionId, item)
      if (current.items.size > MAX_ITEMS || current.bytes > MAX_BYTES) {
        if (frame.final) current = null
        else abandon()
        return { kind: 'too_large' }
      }
      if (!frame.final) return { kind: 'incomplete' }
      const complete = current
      current = null
      return { kind: 'complete', items: [...complete.items.values()], bytes: complete.bytes }
    },
    said: (sessionId, generation, report) => {
      if (current === null) return
      if (generation < (current.items.get(sessionId)?.generation ?? 0)) return
      if (report === null) current.items.delete(sessionId)
      else current.items.set(sessionId, { ...report, sessionId, generation })
    },
    isCollecting: (now) => current !== null && now - current.pageAt < PAGE_TIMEOUT_MS,
  }
}
