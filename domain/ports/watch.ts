/** Watching the feed, as whoever shows it to a caller sees it. */
import type { FeedEvent } from './feed.ts'

/** Where a watcher's events go. Nothing is kept for one that does not take them. */
export type WatchSink = {
  /** In order, each once. What many watchers get is the same array. */
  readonly deliver: (events: readonly FeedEvent[]) => void
  /** Its reader is behind: it takes nothing now. */
  readonly isFull: () => boolean
  /** Resolves when the sink can take more; a reader for whom that takes too long is dropped. */
  readonly ready: () => Promise<void>
  /** Its reader is further behind than anything is kept for it. */
  readonly tooSlow: () => void
  /** The feed is another one by now, or what comes next cannot be read: ask again. */
  readonly ended: (why: string) => void
}

export type Watch = {
  /** Where it begins, as its caller may keep it. */
  readonly position: string
  /** Behind this event, for the same caller. */
  readonly positionOf: (event: FeedEvent) => string
  /** Called once. The result ends it. */
  readonly begin: (sink: WatchSink) => () => void
}
