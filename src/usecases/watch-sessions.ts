/**
 * A watcher's way: what it has missed is read from memory, or from the database where it was away for longer, page by page as it takes
 * them; once it has all there is, it is told what is new with everybody else.
 */
import { E } from '../../domain/fp.ts'
import { type Scope, scopeOf, shareOf } from '../../domain/identity/caller.ts'
import { type Feed, type FeedEvent, type FeedPosition, type FeedTokens, isBehind } from '../../domain/ports/feed.ts'
import type { Watch, WatchSink } from '../../domain/ports/watch.ts'
import { mayRead, type Wants, wantsOf } from '../../domain/session/watched.ts'
import { createTurnstile } from '../../domain/turns/turnstile.ts'
import type { Live } from '../watch/fan-out.ts'
import type { Beginning, LiveFeed } from '../watch/live-feed.ts'
import type { Application } from './application.ts'

/** Events that are looked at for a page of a watcher that was away, and those that it is given at once. */
const LOOKED_AT = 500
const GIVEN_AT_ONCE = 200
/** Watchers who were away for long share these, so that everybody else's statements find a connection; and no org has all of them. */
export const READERS = { most: 2, mostOfOne: 1 }

type Deps = { readonly feed: Feed; readonly live: LiveFeed; readonly tokens: FeedTokens }

type Start = Pick<Beginning, 'position'> & {
  readonly snapshot: Beginning['snapshot'] | null
  readonly events: readonly FeedEvent[]
}

export const watchSessions = ({ feed, live, tokens }: Deps): Application['sessions']['watch'] => {
  const turn = createTurnstile(READERS, null)

  return (caller, filter, lastEventId) => async () => {
    const scope = scopeOf(caller)
    const pageOf: PageOf = (after) => turn(shareOf(caller), () => feed.readOf(scope.orgId, after, LOOKED_AT))
    const positionOf = ({ position }: { readonly position: FeedPosition }): string =>
      tokens.encode(scope.orgId, position)
    const wants = wantsOf(filter)
    const asWatch = (from: FeedPosition, start: Start): E.Either<never, Watch> =>
      E.right({
        position: positionOf({ position: from }),
        positionOf,
        begin: (sink) => follow({ scope, wants, sink, start, live, pageOf }),
      })

    if (lastEventId === null) {
      const beginning = await live.begin()
      return asWatch(beginning.position, { ...beginning, events: [] })
    }
    const from = tokens.decode(scope.orgId, lastEventId)
    if (from === null) return E.left({ _tag: 'UnknownPosition' })
    await live.started()
    if (live.remembered(from, 0) !== null) return asWatch(from, { position: from, snapshot: null, events: [] })
    // The first page tells whether the position is good for anything.
    const page = await pageOf(from)
    if (typeof page === 'string') return E.left({ _tag: 'PositionGone', why: page })
    return asWatch(from, { position: page.next, snapshot: null, events: page.events })
  }
}

type PageOf = (after: FeedPosition) => ReturnType<Feed['readOf']>

type Following = {
  readonly scope: Scope
  readonly wants: Wants | null
  readonly sink: WatchSink
  readonly start: Start
  readonly live: LiveFeed
  readonly pageOf: PageOf
}

const follow = ({ scope, wants, sink, start, live, pageOf }: Following): (() => void) => {
  const { snapshot } = start
  let over = false
  let added: Live | null = null
  let at = start.position
  let wasLive = false

  /** What was committed before it asked is not new, though it comes only now: another transaction held it back. */
  const isNew = ({ position }: FeedEvent): boolean => isBehind(position, at) && snapshot?.sees(position.xid) !== true
  const isWanted = (event: FeedEvent): boolean =>
    snapshot?.sees(event.position.xid) !== true && mayRead(scope, event) && (wants === null || wants(event))

  const give = async (events: readonly FeedEvent[]): Promise<void> => {
    const wanted = events.filter(isWanted)
    for (let from = 0; from < wanted.length && !over; from += GIVEN_AT_ONCE) {
      sink.deliver(wanted.slice(from, from + GIVEN_AT_ONCE))
      await sink.ready()
    }
  }

  /** Whether it may be told of what is new from here on: nothing lies between the last that it was given and that. */
  const catchUp = async (): Promise<void> => {
    await give(start.events)
    while (!over) {
      const events = live.remembered(at, GIVEN_AT_ONCE)
      if (events === null) {
        // Slower than events come, for longer than they are remembered: the next connection reads them from the database.
        if (wasLive) return sink.tooSlow()
        const page = await pageOf(at)
        if (typeof page === 'string')
          return sink.ended('what comes next is not there any more: list what there is, and watch anew')
        await give(page.events)
        at = page.next
        // Nobody reads for the living any more: this watcher alone is left, and has to be one of them.
        await live.started()
        continue
      }
      const last = events.at(-1)
      if (last === undefined) {
        const beganBelow = Math.max(at.xid + 1, snapshot?.xmax ?? 0)
        added = { scope, wants, sink, isNew, lag, beganBelow }
        wasLive = true
        live.fanOut.add(added)
        return
      }
      at = last.position
      await give(events)
    }
  }

  const leave = (): void => {
    if (added !== null) live.fanOut.remove(added)
    added = null
  }
  const lag = (from: FeedPosition): void => {
    leave()
    if (isBehind(from, at)) at = from
    catchUpOrEnd()
  }
  const catchUpOrEnd = (): void => {
    sink
      .ready()
      .then(catchUp)
      .catch(() => {
        if (!over) sink.ended('the database cannot be reached: ask again')
      })
  }

  catchUpOrEnd()
  return () => {
    over = true
    leave()
  }
}
