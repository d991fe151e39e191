/** The newest events, so that whoever comes back after a moment costs the database nothing. */
import { type FeedEvent, type FeedPosition, isBehind } from '../../domain/ports/feed.ts'

export type Ring = {
  readonly push: (events: readonly FeedEvent[], next: FeedPosition) => void
  /** null: it does not reach back so far. */
  readonly after: (position: FeedPosition, limit: number) => readonly FeedEvent[] | null
  /** Behind everything that was pushed. */
  readonly end: () => FeedPosition
}

export const createRing = (start: FeedPosition, most: number): Ring => {
  let begin = start
  let end = start
  let events: FeedEvent[] = []
  return {
    end: () => end,
    push: (added, next) => {
      for (const event of added) events.push(event)
      end = next
      // Cut when it is twice as long as it has to be, so that each event is moved once.
      if (events.length < 2 * most) return
      const gone = events[events.length - most - 1]
      if (gone !== undefined) begin = gone.position
      events = events.slice(-most)
    },
    after: (position, limit) => {
      if (position.feed !== end.feed || isBehind(begin, position)) return null
      let from = 0
      for (let to = events.length; from < to; ) {
        const middle = (from + to) >>> 1
        if (isBehind((events[middle] as FeedEvent).position, position)) to = middle
        else from = middle + 1
      }
      return events.slice(from, from + limit)
    },
  }
}
