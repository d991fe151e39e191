/** When creates were committed, by PostgreSQL's own clock: needs `track_commit_timestamp`. */
import type { BenchDatabase } from '../database.ts'
import { type Distribution, distributionOf } from '../percentiles.ts'

/** By session, in milliseconds since 1970. */
export const commitsSince = async (
  database: Pick<BenchDatabase, 'query'>,
  sinceMs: number,
): Promise<ReadonlyMap<string, number>> => {
  const rows = await database.query(
    `SELECT * FROM (SELECT session_id, (extract(epoch FROM pg_xact_commit_timestamp(xid::xid)) * 1000)::float8 AS at
                      FROM session_events WHERE type = 'created') c WHERE at >= $1`,
    [sinceMs],
  )
  return new Map(rows.map((row) => [row.session_id, row.at]))
}

export type CommitToAgent = { readonly latencyMs: Distribution; readonly commands: number; readonly lost: number }

export const commitToAgent = (
  committed: ReadonlyMap<string, number>,
  arrived: ReadonlyMap<string, number>,
): CommitToAgent => {
  const latencies = [...committed].flatMap(([sessionId, at]) => {
    const came = arrived.get(sessionId)
    return came === undefined ? [] : [came - at]
  })
  return { latencyMs: distributionOf(latencies), commands: committed.size, lost: committed.size - latencies.length }
}
