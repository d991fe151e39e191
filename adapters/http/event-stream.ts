/** Server-sent events as text (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import type { FeedEvent } from '../../domain/ports/feed.ts'

/** By event: many watchers of one org get the same bytes. */
const encoded = new WeakMap<FeedEvent, Buffer>()
const joined = new WeakMap<readonly FeedEvent[], Buffer>()

const bytesOf = (event: FeedEvent, positionOf: (event: FeedEvent) => string): Buffer => {
  const known = encoded.get(event)
  if (known !== undefined) return known
  const bytes = Buffer.from(`id: ${positionOf(event)}\ndata: ${JSON.stringify(event.event)}\n\n`)
  encoded.set(event, bytes)
  return bytes
}

/** One unnamed event each. All who get the same array get the same bytes. */
export const eventsAsText = (events: readonly FeedEvent[], positionOf: (event: FeedEvent) => string): Buffer => {
  const [only] = events
  if (only !== undefined && events.length === 1) return bytesOf(only, positionOf)
  const known = joined.get(events)
  if (known !== undefined) return known
  const bytes = Buffer.concat(events.map((event) => bytesOf(event, positionOf)))
  joined.set(events, bytes)
  return bytes
}

export const readyAsText = (position: string): string => `event: ready\nid: ${position}\ndata: {}\n\n`

/** Nobody shows it; it keeps the connection from being taken for dead, by either side and by whatever is in between. */
export const HEARTBEAT = Buffer.from(': still here\n\n')

/** The last words: in how many milliseconds to come back, and why. */
export const farewell = (why: string, afterMs: number): string => `retry: ${afterMs}\n: ${why}\n\n`
