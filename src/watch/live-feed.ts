/**
 * The one reader of the feed that a replica has, while somebody watches. It asks for what is new some twenty times a second: that is
 * one short query, wherever the event was written, where a notification with each commit would make all commits
 * of the database wait for one another (docs/decisions/0095).
 */
import type { Feed, FeedDelay, FeedEvent, FeedPosition, Snapshot } from '../../domain/ports/feed.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { createRing, type Ring } from './ring.ts'

/** After events there are often more: they come in small batches. */
const AGAIN_AFTER_MS = { events: 10, nothing: 40, failure: 500 }
/** Somebody waits to begin. */
const SOON_MS = 1
/** Of the time that telling takes. */
const PART_FOR_OTHERS = 0.3
const ROWS_AT_ONCE = 1_000
/** Some ten seconds of a busy installation. */
const RING = 10_000
/** A transaction that holds events back for so long is told of, and then again as often. */
const LATE_MS = 5_000
/** Whoever lost a connection is back within that, and is answered from memory. */
const READS_ON_FOR_MS = 30_000

/** Where a new watcher begins: nothing that was committed before it asked is new to it. */
export type Beginning = { readonly position: FeedPosition; readonly snapshot: Snapshot }

export type LiveFeed = {
  /** Once everything has been read that was there when this was called. Rejects when it cannot be read. */
  readonly begin: () => Promise<Beginning>
  /** What is known of later events; null: it has to be asked of the database. */
  readonly remembered: (after: FeedPosition, limit: number) => readonly FeedEvent[] | null
  /** Behind all that was published. Rejects when it cannot be read. */
  readonly started: () => Promise<void>
  readonly fanOut: FanOut
  readonly stop: () => Promise<void>
}

export type LiveFeedDeps = {
  readonly feed: Feed
  readonly told: (what: string, error?: unknown) => void
  /** Events wait for a transaction: for how long, and whose it is. */
  readonly late?: (delay: FeedDelay) => void
  readonly ring?: number
}

/** As when the database is not there: another replica can be asked. */
const stopping = (): Error => Object.assign(new Error('this replica is stopping'), { code: 'ECONNABORTED' })

type Joining = { readonly resolve: (beginning: Beginning) => void; readonly reject: (error: unknown) => void }

export const createLiveFeed = ({ feed, told, late, ring: most = RING }: LiveFeedDeps): LiveFeed => {
  const fanOut = createFanOut()
  // Whoever cannot take all of a page at once finds it in the ring.
  const rowsAtOnce = Math.max(1, Math.min(ROWS_AT_ONCE, Math.floor(most / 2)))
  let ring: Ring | null = null
  let joining: Joining[] = []
  let running: Promise<void> | null = null
  let stopped = false
  let wakeUp = (): void => {}

  const isWanted = (): boolean => joining.length > 0 || fanOut.size() > 0

  /** Nobody waits for longer than it takes: those who asked while this was under way are answered by the next. */
  const readOnce = async (): Promise<number> => {
    const asked = joining
    joining = []
    try {
      ring ??= createRing(await feed.now(), most)
      const from = ring.end()
      const page = await feed.read(from, rowsAtOnce)
      if (page === 'other_feed') {
        ring = null
        fanOut.endAll('the history of the database is another one: list what there is, and watch anew')
        joining = [...asked, ...joining]
        return 0
      }
      ring.push(page.events, page.next)
      const published = performance.now()
      if (page.events.length > 0) await fanOut.publish(page.events, from)
      const tookMs = performance.now() - published
      if (!page.complete) {
        joining = [...asked, ...joining]
        return 0
      }
      for (const { resolve } of asked) resolve({ position: page.next, snapshot: page.snapshot })
      if (page.events.length === 0) return AGAIN_AFTER_MS.nothing
      // Where telling thousands takes its time, what comes meanwhile is told together.
      return Math.max(AGAIN_AFTER_MS.events, tookMs * PART_FOR_OTHERS)
    } catch (error) {
      for (const { reject } of asked) reject(error)
      told('the feed could not be read; it is read on as soon as it can be', error)
      return AGAIN_AFTER_MS.failure
    }
  }

  const run = async (): Promise<void> => {
    let wantedAt = performance.now()
    let lookedAt = wantedAt
    while (!stopped) {
      const pauseMs = await readOnce()
      if (isWanted()) wantedAt = performance.now()
      else if (performance.now() - wantedAt > READS_ON_FOR_MS) break
      if (late !== undefined && performance.now() - lookedAt > LATE_MS) {
        lookedAt = performance.now()
        const delay = await feed.delay().catch(() => null)
        if (delay !== null && delay.lagMs > LATE_MS) late(delay)
      }
      await pause(joining.length > 0 ? Math.min(pauseMs, SOON_MS) : pauseMs)
    }
    ring = null
    running = null
    for (const { reject } of joining.splice(0)) reject(stopping())
  }

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const begin = (): Promise<Beginning> =>
    new Promise((resolve, reject) => {
      if (stopped) return reject(stopping())
      joining.push({ resolve, reject })
      if (running === null) running = run()
      else wakeUp()
    })

  return {
    begin,
    fanOut,
    started: async () => void (ring === null && (await begin())),
    remembered: (after, limit) => ring?.after(after, limit) ?? null,
    stop: async () => {
      stopped = true
      wakeUp()
      await running
    },
  }
}
