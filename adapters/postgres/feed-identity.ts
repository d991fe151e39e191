/**
 * Whether the feed is still the one that positions were given for. Transaction ids mean something in one history only: a restore into
 * another installation begins them anew, and a promoted standby may give those again that it never heard of. Where that is
 * found, at the next read, the feed gets another name, and positions of the old one are refused instead of passing over events.
 */
import type { Database, Queries, Row } from './pool.ts'

/** As expressions, for statements that read the feed: they notice in the same snapshot. */
export const CLUSTER = '(SELECT system_identifier::text FROM pg_control_system())'
export const HISTORY = `((SELECT oid::text FROM pg_database WHERE datname = current_database()) || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))`

/** Below every transaction id that PostgreSQL gives: what was written in another history comes before all of this one. */
const REBASED = '1'
const ROWS_AT_ONCE = 10_000

/**
 * A visible row of a transaction that PostgreSQL has not begun yet can only come from elsewhere. Rows of another installation
 * are all taken for such, as some of their numbers may be in the past here by chance.
 */
const LOOK = `
SELECT name, cluster IS NULL AS is_new, cluster = ${CLUSTER} AS same_cluster, history = ${HISTORY} AS same_history,
       coalesce((SELECT xid FROM session_events ORDER BY xid DESC, id DESC LIMIT 1) >= pg_snapshot_xmax(pg_current_snapshot()), false) AS from_elsewhere
  FROM feed`

/**
 * What has not been read by the server itself is in the order of transactions; after this it is in that of ids. So a reader begins
 * again before the first id that it has not read: it may read some twice, and passes none over.
 */
const MOVE_READERS = `
UPDATE feed_positions p
   SET xid = '${REBASED}',
       id = coalesce((SELECT min(e.id) FROM session_events e WHERE (e.xid, e.id) > (p.xid, p.id)) - 1,
                     (SELECT max(e.id) FROM session_events e), 0)`

/** In the order of ids, which is nearly that of time. */
const REBASE = `
UPDATE session_events SET xid = '${REBASED}'
 WHERE (xid, id) IN (SELECT xid, id FROM session_events WHERE xid > '${REBASED}' AND id <= $1 ORDER BY xid, id LIMIT ${ROWS_AT_ONCE})`

const isSettled = (found: Row): boolean => found.same_cluster && found.same_history && !found.from_elsewhere

/**
 * Looks, and gives the feed another name when it has to. Several replicas may do so at once: the row's lock lets one of them, the
 * others find it done. One transaction, so that whoever is cut short has done nothing.
 */
export const settleFeed = async (database: Database): Promise<void> => {
  const { rows } = await database.query({ text: LOOK })
  if (isSettled(rows[0])) return
  await database.transaction(async (query) => {
    await query({ text: 'SELECT FROM feed FOR UPDATE' })
    const found = (await query({ text: LOOK })).rows[0]
    if (isSettled(found)) return
    const rebases = found.from_elsewhere || (!found.is_new && !found.same_cluster)
    if (rebases) await rebase(query)
    // Nobody has a position in what nobody has looked at.
    const name = found.is_new && !rebases ? 'name' : 'substr(gen_random_uuid()::text, 1, 8)'
    await query({ text: `UPDATE feed SET name = ${name}, cluster = ${CLUSTER}, history = ${HISTORY}` })
    await query({ text: 'UPDATE feed_positions SET feed = (SELECT name FROM feed)' })
  })
}

const rebase = async (query: Queries['query']): Promise<void> => {
  await query({ text: MOVE_READERS })
  await query({ text: `UPDATE session_events_removed SET xid = '${REBASED}'` })
  const { rows } = await query({ text: 'SELECT coalesce(max(id), 0) AS last FROM session_events' })
  for (;;) {
    const { rowCount } = await query({ text: REBASE, values: [rows[0].last] })
    if (rowCount < ROWS_AT_ONCE) return
  }
}
