/**
 * The feed of session events, read in the order (xid, id) and only below `pg_snapshot_xmin(pg_current_snapshot())`: every
 * transaction below that has ended, so that nothing can appear there any more. A writing transaction that takes its time holds back
 * what was written after it began; `delay` says whose it is.
 */
import type { OrgId, SessionId, UserId } from '../../domain/ids.ts'
import type { Feed, FeedEvent, FeedPage, FeedPosition, Snapshot } from '../../domain/ports/feed.ts'
import { CLUSTER, HISTORY, settleFeed } from './feed-identity.ts'
import { eventFromRow } from './history-rows.ts'
import type { Database, Row } from './pool.ts'

const BOUND = 'pg_snapshot_xmin(pg_current_snapshot())'

/** Said with every read, whether there are events or not, and in the same snapshot. */
const SEEN = `f.name AS feed, f.cluster IS NOT DISTINCT FROM ${CLUSTER} AND f.history IS NOT DISTINCT FROM ${HISTORY} AS same,
       pg_current_snapshot()::text AS snapshot`

const COLUMNS = 'e.xid::text AS xid, e.id, e.org_id, e.session_id, e.type, e.generation, e.at, e.actor, e.data'

/** A session by its key, one after another: hashing all sessions for a handful of events would be the plan of a small table. */
const SUBJECT = `
  LEFT JOIN LATERAL (
    SELECT s.user_id, s.name, s.status, s.template_name, s.platform, s.agent_id, s.labels, s.created_at
      FROM sessions s WHERE s.id = e.session_id AND s.org_id = e.org_id OFFSET 0
  ) s ON true`

const readAll = (limit: number): string => `
SELECT ${SEEN}, e.*
  FROM feed f LEFT JOIN LATERAL (
    SELECT ${COLUMNS}, s.*
      FROM (SELECT * FROM session_events
             WHERE (xid, id) > ($1::xid8, $2::bigint) AND xid < ${BOUND} ORDER BY xid, id LIMIT ${limit}) e
      ${SUBJECT}
  ) e ON true
 ORDER BY e.xid::xid8, e.id`

/**
 * The last of `limit` events, of whichever org: so much is looked at for a page, however few of them are the caller's. Nothing but
 * two numbers is read for nobody in particular.
 */
const pageEnd = (limit: number): string => `
SELECT ${SEEN}, e.xid::text AS xid, e.id
  FROM feed f LEFT JOIN LATERAL (
    SELECT xid, id FROM session_events
     WHERE (xid, id) > ($1::xid8, $2::bigint) AND xid < ${BOUND} ORDER BY xid, id OFFSET ${limit - 1} LIMIT 1
  ) e ON true`

/** `too_old` is seen in the snapshot in which the events are, or are not any more. */
const READ_ORG = `
SELECT r.too_old, e.*
  FROM (SELECT EXISTS (SELECT FROM session_events_removed
                        WHERE org_id = $1 AND (xid, id) > ($2::xid8, $3::bigint)) AS too_old) r
  LEFT JOIN LATERAL (
    SELECT ${COLUMNS}, s.*
      FROM (SELECT * FROM session_events
             WHERE org_id = $1 AND (xid, id) > ($2::xid8, $3::bigint) AND (xid, id) <= ($4::xid8, $5::bigint)) e
      ${SUBJECT}
  ) e ON true
 ORDER BY e.xid::xid8, e.id`

/**
 * The oldest event that is committed and waits, and whose transaction it waits for: its holder has the lock on its own id, which
 * everybody may see, where what it does is shown to its own user only.
 */
const DELAY = `
SELECT extract(epoch FROM clock_timestamp() - e.at) * 1000 AS lag_ms,
       (SELECT pid FROM pg_locks
         WHERE locktype = 'transactionid' AND granted AND mode = 'ExclusiveLock'
           AND transactionid::text::bigint = ${BOUND}::text::bigint % 4294967296 LIMIT 1) AS pid
  FROM (SELECT at FROM session_events WHERE xid >= ${BOUND} ORDER BY xid, id LIMIT 1) e`

/** In the transaction of whoever acted on what was read: `$1` the reader, `$2` and `$3` as in a position. */
export const MOVE_FEED_POSITION = 'UPDATE feed_positions SET xid = $2::text::xid8, id = $3 WHERE reader = $1'

export const createFeed = (database: Database): Feed => {
  const now = async (): Promise<FeedPosition> => {
    await settleFeed(database)
    const { rows } = await database.query({ text: `SELECT name, ${BOUND}::text AS bound FROM feed` })
    return { feed: rows[0].name, xid: Number(rows[0].bound), id: 0 }
  }

  /** The next read finds it settled. */
  const other = async (same: boolean): Promise<'other_feed'> => {
    if (!same) await settleFeed(database)
    return 'other_feed'
  }

  return {
    now,

    read: async (after, limit) => {
      const { rows } = await database.query({
        name: `feed_${limit}`,
        text: readAll(limit),
        values: [String(after.xid), after.id],
      })
      const { feed, same, snapshot } = rows[0]
      if (!same || feed !== after.feed) return other(same)
      const events = eventsOf(rows, feed)
      const complete = events.length < limit
      const seen = snapshotOf(snapshot)
      return { events, complete, snapshot: seen, next: nextOf(after, events.at(-1)?.position, complete, seen.xmin) }
    },

    readOf: async (orgId, after, limit) => {
      const from = [String(after.xid), after.id]
      const { rows } = await database.query({ name: `feed_end_${limit}`, text: pageEnd(limit), values: from })
      const { feed, same, snapshot, xid, id } = rows[0]
      if (!same || feed !== after.feed) return other(same)
      const seen = snapshotOf(snapshot)
      const complete = xid === null
      const end = complete ? null : { feed, xid: Number(xid), id }
      const next = nextOf(after, end ?? undefined, complete, seen.xmin)
      // Nothing lies between a position and what is behind it.
      const { rows: found } = await database.of(orgId).query({
        name: 'feed_of_org',
        text: READ_ORG,
        values: [orgId, ...from, String(next.xid), next.id],
      })
      if (found[0].too_old) return 'too_old'
      return { events: eventsOf(found, feed), next, complete, snapshot: seen }
    },

    delay: async () => {
      const { rows } = await database.query({ name: 'feed_delay', text: DELAY })
      return rows[0] === undefined ? null : { lagMs: Math.max(0, Number(rows[0].lag_ms)), pid: rows[0].pid }
    },

    positionOf: async (reader) => {
      const { rows } = await database.query({
        text: 'SELECT p.feed, p.xid::text AS xid, p.id FROM feed_positions p WHERE reader = $1',
        values: [reader],
      })
      if (rows[0] !== undefined) return { feed: rows[0].feed, xid: Number(rows[0].xid), id: rows[0].id }
      const { feed, xid, id } = await now()
      await database.query({
        text: `INSERT INTO feed_positions (reader, feed, xid, id) VALUES ($1, $2, $3::text::xid8, $4) ON CONFLICT DO NOTHING`,
        values: [reader, feed, String(xid), id],
      })
      return { feed, xid, id }
    },
  }
}

/** Everything below the bound was read: the next read begins there, however long ago the last event was. */
const nextOf = (
  after: FeedPosition,
  last: FeedPosition | undefined,
  complete: boolean,
  bound: number,
): FeedPage['next'] => {
  const next = last ?? after
  return complete && bound > next.xid ? { feed: after.feed, xid: bound, id: 0 } : next
}

const eventsOf = (rows: readonly Row[], feed: string): readonly FeedEvent[] =>
  rows.flatMap((row) => (row.xid === null ? [] : [eventOf(row, feed)]))

const eventOf = (row: Row, feed: string): FeedEvent => ({
  position: { feed, xid: Number(row.xid), id: row.id },
  orgId: row.org_id as OrgId,
  sessionId: row.session_id as SessionId,
  event: eventFromRow(row),
  subject:
    row.user_id === null
      ? null
      : {
          userId: row.user_id as UserId,
          name: row.name,
          status: row.status,
          template: row.template_name,
          platform: row.platform,
          agentId: row.agent_id,
          labels: row.labels,
          createdAt: row.created_at,
        },
})

/** PostgreSQL writes it `xmin:xmax:xid,xid,…`, the last being under way. */
const snapshotOf = (text: string): Snapshot & { readonly xmin: number } => {
  const [xmin = '', xmax = '', underWay = ''] = text.split(':')
  const running = new Set(underWay === '' ? [] : underWay.split(',').map(Number))
  return {
    xmin: Number(xmin),
    xmax: Number(xmax),
    sees: (xid) => xid < Number(xmax) && !running.has(xid),
  }
}
