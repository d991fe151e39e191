/**
 * Who gets which events. Watchers are found by their org, and those of one user by that user; what several get is one array, so that it is
 * written out once. Thousands are told a few hundred in each turn of the event loop, so that requests do not wait for them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Scope } from '../../domain/identity/caller.ts'
import type { OrgId, UserId } from '../../domain/ids.ts'
import type { FeedEvent, FeedPosition } from '../../domain/ports/feed.ts'
import type { WatchSink } from '../../domain/ports/watch.ts'
import type { Wants } from '../../domain/session/watched.ts'

export type Live = {
  readonly scope: Scope
  /** null: all. */
  readonly wants: Wants | null
  readonly sink: WatchSink
  /** It cannot take what comes now, all of it behind `from`. It is not told any more until it is added again. */
  readonly lag: (from: FeedPosition) => void
  /** Below this transaction some events are older than the watcher is. */
  readonly beganBelow: number
  readonly isNew: (event: FeedEvent) => boolean
}

/** Some five milliseconds of writing to sockets. */
const TOLD_IN_A_TURN = 300

/** More is for each to take as it can. */
const TOLD_AT_ONCE = 300

type OfOrg = { readonly all: Set<Live>; readonly byOwner: Map<UserId, Set<Live>> }

export type FanOut = {
  readonly add: (live: Live) => void
  readonly remove: (live: Live) => void
  /** Resolves when all have been told. Whoever is added meanwhile is told what is new to it. */
  readonly publish: (events: readonly FeedEvent[], from: FeedPosition) => Promise<void>
  readonly size: () => number
  readonly endAll: (why: string) => void
}

export const createFanOut = (): FanOut => {
  const orgs = new Map<OrgId, OfOrg>()
  let size = 0

  let toldInTurn = 0
  const tell = async (watchers: Iterable<Live>, events: readonly FeedEvent[], from: FeedPosition): Promise<void> => {
    const oldest = events[0]?.position.xid ?? 0
    for (const { wants, sink, beganBelow, isNew, lag } of watchers) {
      toldInTurn += 1
      if (toldInTurn > TOLD_IN_A_TURN) {
        toldInTurn = 0
        await nextTurn()
      }
      const fresh = oldest < beganBelow ? events.filter(isNew) : events
      const wanted = wants === null ? fresh : fresh.filter(wants)
      if (wanted.length === 0) continue
      if (wanted.length > TOLD_AT_ONCE || sink.isFull()) lag(from)
      else sink.deliver(wanted)
    }
  }

  return {
    size: () => size,
    add: (live) => {
      const { orgId, ownerId } = live.scope
      const ofOrg = orgs.get(orgId) ?? { all: new Set(), byOwner: new Map() }
      orgs.set(orgId, ofOrg)
      if (ownerId === null) ofOrg.all.add(live)
      else ofOrg.byOwner.set(ownerId, (ofOrg.byOwner.get(ownerId) ?? new Set()).add(live))
      size += 1
    },
    remove: (live) => {
      const { orgId, ownerId } = live.scope
      const ofOrg = orgs.get(orgId)
      const among = ownerId === null ? ofOrg?.all : ofOrg?.byOwner.get(ownerId)
      if (ofOrg === undefined || among === undefined || !among.delete(live)) return
      size -= 1
      if (ownerId !== null && among.size === 0) ofOrg.byOwner.delete(ownerId)
      if (ofOrg.all.size === 0 && ofOrg.byOwner.size === 0) orgs.delete(orgId)
    },
    publish: async (events, from) => {
      toldInTurn = 0
      for (const [orgId, ofThis] of Map.groupBy(events, (event) => event.orgId)) {
        const ofOrg = orgs.get(orgId)
        if (ofOrg === undefined) continue
        await tell(ofOrg.all, ofThis, from)
        if (ofOrg.byOwner.size === 0) continue
        for (const [userId, own] of Map.groupBy(ofThis, ({ subject }) => subject?.userId))
          if (userId !== undefined) await tell(ofOrg.byOwner.get(userId) ?? [], own, from)
      }
    },
    endAll: (why) => {
      const all = [...orgs.values()].flatMap(({ all: some, byOwner }) => [some, ...byOwner.values()])
      orgs.clear()
      size = 0
      for (const watchers of all) for (const { sink } of watchers) sink.ended(why)
    },
  }
}
