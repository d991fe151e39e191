/**
 * The streams of those who watch: each is written as far as its reader takes it, ends with the right to it, and says now and then
 * that it is still there.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { decodeJwt } from 'jose'
import type { Logger } from 'pino'
import { E } from '../../domain/fp.ts'
import type { Caller } from '../../domain/identity/caller.ts'
import type { Authenticate } from '../../domain/ports/access.ts'
import type { Watch } from '../../domain/ports/watch.ts'
import { callerOf } from './authenticate.ts'
import { eventsAsText, farewell, HEARTBEAT, readyAsText } from './event-stream.ts'
import { type Exchange, headersOf } from './exchange.ts'

export type Watches = {
  readonly open: (exchange: Exchange, caller: Caller, watch: Watch) => void
  /** Whether one more of this caller's org can be served. */
  readonly hasRoom: (caller: Caller) => boolean
  readonly size: () => number
  /** Ended because their reader was too slow, since the start. */
  readonly dropped: () => number
  /** Tells all to come back, to whichever replica. */
  readonly close: () => void
}

export type WatchesSettings = {
  readonly authenticate: Authenticate
  readonly log: Logger
  readonly heartbeatMs: number
  /** What one reader may leave unread here, beside what its kernel and ours hold. */
  readonly unreadBytes?: number
  /** For how long a reader that is behind may take nothing. */
  readonly patienceMs?: number
  /** Streams of one org. */
  readonly mostOfOne?: number
}

/** Streams of a replica: each is a connection and some memory. */
const MOST = 10_000
/** Of one org, whose keys may be many: some are left for others. */
const MOST_OF_ONE = 7_500
const UNREAD_BYTES = 262_144
/** One that is behind is given more when no more than this waits. */
const AHEAD_BYTES = 65_536
const PATIENCE_MS = 15_000
/** With the second for which a key is remembered, far below the five within which a right has ended. */
const LOOK_AGAIN_MS = 1_500
const TICK_MS = 500
/** A token may be good for so long after its end, by a clock that is behind. */
const CLOCKS_APART_MS = 30_000
const LOOKS_AT_ONCE = 8
/** Those who are told to come back do so over some time. */
const BACK_WITHIN_MS = { least: 500, most: 3_000 }

type Stream = {
  readonly response: ServerResponse
  wroteAt: number
  readonly end: (why: string) => void
}

/** All that show the same key or token. */
type Holder = {
  readonly caller: Caller
  readonly headers: IncomingHttpHeaders
  /** When the token says that it ends, in milliseconds since 1970; null: it is a key, which the database knows. */
  readonly endsAt: number | null
  readonly streams: Set<Stream>
  lookedAt: number
}

export const createWatches = ({
  authenticate,
  log,
  heartbeatMs,
  unreadBytes = UNREAD_BYTES,
  patienceMs = PATIENCE_MS,
  mostOfOne = MOST_OF_ONE,
}: WatchesSettings): Watches => {
  const holders = new Map<string, Holder>()
  const sizeBy = new Map<string, number>()
  let size = 0
  let dropped = 0
  let closed = false

  const holderOf = (
    caller: Caller,
    { authorization, 'streamspace-org': org }: IncomingHttpHeaders,
  ): [string, Holder] => {
    const key = JSON.stringify([authorization, org])
    const known = holders.get(key)
    if (known !== undefined) return [key, known]
    const headers = {
      ...(authorization === undefined ? {} : { authorization }),
      ...(org === undefined ? {} : { 'streamspace-org': org }),
    }
    const holder: Holder = {
      caller,
      headers,
      endsAt: endOf(authorization),
      streams: new Set(),
      lookedAt: performance.now(),
    }
    holders.set(key, holder)
    return [key, holder]
  }

  const count = (caller: Caller, more: 1 | -1): void => {
    const now = (sizeBy.get(caller.orgId) ?? 0) + more
    if (now === 0) sizeBy.delete(caller.orgId)
    else sizeBy.set(caller.orgId, now)
  }

  const open: Watches['open'] = (exchange, caller, watch) => {
    const { request, response } = exchange
    // Without chunks: it ends with its connection, and each event is one write of what all others get too.
    response.useChunkedEncodingByDefault = false
    response.writeHead(200, {
      ...headersOf(exchange, 'no-cache, no-transform'),
      'Content-Type': 'text/event-stream',
      Connection: 'close',
      // What buffers answers would keep events for itself.
      'X-Accel-Buffering': 'no',
    })
    if (request.method === 'HEAD' || response.destroyed) return void response.end()
    response.write(readyAsText(watch.position))

    const [key, holder] = holderOf(caller, request.headers)
    let stop = (): void => {}
    const gone = (): void => {
      if (!holder.streams.delete(stream)) return
      size -= 1
      count(caller, -1)
      if (holder.streams.size === 0) holders.delete(key)
      stop()
    }
    const drop = (): void => {
      if (response.destroyed) return
      dropped += 1
      log.info({ requestId: exchange.requestId, msg: 'a watcher that does not read was dropped' })
      response.destroy()
    }
    const stream: Stream = {
      response,
      wroteAt: performance.now(),
      end: (why) => {
        if (response.writableEnded) return
        const { least, most } = BACK_WITHIN_MS
        response.end(farewell(why, Math.round(least + Math.random() * (most - least))))
        // Who does not read is not waited for.
        const late = setTimeout(() => response.destroy(), patienceMs).unref()
        response.once('close', () => clearTimeout(late))
        gone()
      },
    }
    holder.streams.add(stream)
    size += 1
    count(caller, 1)
    response.once('close', gone)
    if (closed) return stream.end(STOPPING)
    stop = watch.begin({
      deliver: (events) => {
        if (response.writableEnded || response.destroyed) return
        response.write(eventsAsText(events, watch.positionOf))
        stream.wroteAt = performance.now()
      },
      isFull: () => response.writableLength > unreadBytes,
      ready: () =>
        response.writableLength <= AHEAD_BYTES || response.destroyed
          ? Promise.resolve()
          : drained(response, patienceMs, drop),
      tooSlow: drop,
      ended: stream.end,
    })
    // It may have been over before it began.
    if (!holder.streams.has(stream)) stop()
  }

  const look = async (holder: Holder): Promise<void> => {
    holder.lookedAt = performance.now()
    const known = await callerOf(authenticate, holder.headers).catch(() => null)
    // What cannot be found out now is asked again, as long as the token itself has not ended.
    const isUnknown = known === null || (E.isLeft(known) && known.left.refusal._tag === 'ProviderUnavailable')
    if (isUnknown && (holder.endsAt === null || Date.now() < holder.endsAt + CLOCKS_APART_MS)) return
    const { caller } = holder
    const isStill =
      known !== null &&
      E.isRight(known) &&
      known.right.orgId === caller.orgId &&
      known.right.userId === caller.userId &&
      known.right.role === caller.role
    if (isStill) return
    for (const stream of [...holder.streams]) stream.end('this key or token is not good for it any more')
  }

  let looking = false
  const lookAgain = async (now: number): Promise<void> => {
    if (looking) return
    looking = true
    const due = [...holders.values()].filter(({ lookedAt }) => now - lookedAt >= LOOK_AGAIN_MS)
    const next = async (): Promise<void> => {
      for (let holder = due.pop(); holder !== undefined; holder = due.pop()) await look(holder)
    }
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, next))
    looking = false
  }

  const beat = (now: number): void => {
    for (const { streams } of holders.values())
      for (const stream of streams) {
        if (now - stream.wroteAt < heartbeatMs) continue
        stream.wroteAt = now
        if (stream.response.writableLength <= unreadBytes) stream.response.write(HEARTBEAT)
      }
  }

  const tick = setInterval(
    () => {
      if (size === 0) return
      const now = performance.now()
      beat(now)
      void lookAgain(now)
    },
    Math.min(TICK_MS, heartbeatMs),
  )
  tick.unref()

  return {
    open,
    hasRoom: (caller) => !closed && size < MOST && (sizeBy.get(caller.orgId) ?? 0) < mostOfOne,
    size: () => size,
    dropped: () => dropped,
    close: () => {
      closed = true
      clearInterval(tick)
      for (const { streams } of [...holders.values()]) for (const stream of [...streams]) stream.end(STOPPING)
    },
  }
}

const STOPPING = 'this replica is stopping: go on with Last-Event-ID'

/** It was verified when the stream was opened; here only its end is read. */
const endOf = (authorization: string | undefined): number | null => {
  try {
    const { exp } = decodeJwt((authorization ?? '').replace(/^bearer /i, ''))
    return exp === undefined ? null : exp * 1000
  } catch {
    return null
  }
}

/** Until what was written is on its way; a reader that takes nothing for long is dropped. */
const drained = (response: ServerResponse, patienceMs: number, drop: () => void): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(limit)
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    const limit = setTimeout(() => {
      drop()
      done()
    }, patienceMs)
    limit.unref()
    response.on('drain', done)
    response.on('close', done)
  })
