/**
 * The inventory: everything of which anything is left here, in pages. A page is read from the platform in the
 * moment in which it is sent, so that the order of frames is the order of facts; what appears while the pages
 * go out is on a later one.
 */
import { createHash } from 'node:crypto'
import type { SessionId } from '../../domain/ids.ts'
import { type Frame, type InventoryItem, inventoryText } from '../protocol.ts'
import type { Platform } from './platform.ts'
import { inventoryItem } from './reports.ts'

const PAGE_ITEMS = 500
/** Well under the 1 MiB at which a server closes the socket, and short enough to let results through in between. */
const PAGE_BYTES = 256 * 1024

/** Lower-case hex SHA-256 of `inventoryText`, as the protocol defines it. */
export const inventoryHash = (items: Iterable<Pick<InventoryItem, 'sessionId' | 'generation' | 'status'>>): string => {
  const hash = createHash('sha256')
  for (const piece of inventoryText(items)) hash.update(piece)
  return hash.digest('hex')
}

export type InventoryPages = {
  /** The next page, or null after the final one. */
  readonly next: () => Frame<'inventory'> | null
}

export const inventoryPages = (
  platform: Pick<Platform, 'inventory' | 'held'>,
  requestId: string | null,
): InventoryPages => {
  const told = new Set<SessionId>()
  let listed: readonly SessionId[] = []
  let position = 0
  let final = false

  /** The next session not told yet. The list is read anew when it is exhausted, until nothing new is on it. */
  const nextId = (): SessionId | null => {
    if (position === listed.length) {
      listed = platform
        .inventory()
        .map((item) => item.sessionId)
        .filter((id) => !told.has(id))
      position = 0
    }
    return listed[position] ?? null
  }

  const page = (): InventoryItem[] => {
    const items: InventoryItem[] = []
    let bytes = 0
    for (let id = nextId(); id !== null; id = nextId()) {
      if (items.length === PAGE_ITEMS) return items
      const held = platform.held(id)
      const item = held === null ? null : inventoryItem(id, held)
      const size = item === null ? 0 : Buffer.byteLength(JSON.stringify(item)) + 1
      if (items.length > 0 && bytes + size > PAGE_BYTES) return items
      if (item !== null) items.push(item)
      bytes += size
      told.add(id)
      position += 1
    }
    final = true
    return items
  }

  return {
    next: () => {
      if (final) return null
      const items = page()
      return { type: 'inventory', items, final, ...(requestId === null ? {} : { requestId }) }
    },
  }
}
