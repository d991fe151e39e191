/** Events as the product writes them, each in a transaction of its own, at a steady rate. */
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import type { BenchDatabase } from '../database.ts'

const CLIENTS = 16
const EVERY_MS = 5

const INSERT = {
  name: 'bench_event',
  text: `INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
         VALUES ('default', $1, 'running', 1, '{"message":"it runs, as far as anybody can tell"}', 'agent:bench', now())`,
}

/** Answers how many there were. */
export const writeEvents = async (
  { url }: Pick<BenchDatabase, 'url'>,
  sessionIds: readonly string[],
  perSecond: number,
  seconds: number,
): Promise<number> => {
  const pool = new pg.Pool({ connectionString: url, max: CLIENTS })
  const began = performance.now()
  const under: Promise<unknown>[] = []
  for (let written = 0; performance.now() - began < seconds * 1_000; ) {
    for (const due = Math.floor(((performance.now() - began) * perSecond) / 1_000); written < due; written += 1)
      under.push(pool.query({ ...INSERT, values: [sessionIds[written % sessionIds.length]] }))
    await wait(EVERY_MS)
  }
  await Promise.all(under)
  await pool.end()
  return under.length
}

/** Of each event, in milliseconds since 1970, by PostgreSQL's own clock. */
export const commitsOfEvents = async (
  { query }: Pick<BenchDatabase, 'query'>,
  after: number,
): Promise<ReadonlyMap<number, number>> => {
  const rows = await query(
    `SELECT id::float8 AS id, (extract(epoch FROM pg_xact_commit_timestamp(xid::xid)) * 1000)::float8 AS at
       FROM session_events WHERE id > $1`,
    [after],
  )
  return new Map(rows.map(({ id, at }) => [id, at]))
}
