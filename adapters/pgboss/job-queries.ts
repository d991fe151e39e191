/**
 * What there is in pg-boss' tables, for people: queues with their counts, jobs, and running a failed one again.
 * Read as it is: pg-boss' own figures of a queue are up to a minute old.
 */
import type { PgBoss } from 'pg-boss'
import type { JobQueries, JobState, JobView, QueueView } from '../../domain/ports/jobs.ts'
import { jobStates } from '../../domain/ports/jobs.ts'

/** Makes and reads opaque cursors; throws what the API answers as a bad cursor. */
export type JobCursors = {
  readonly encode: (list: string, key: readonly (string | number)[]) => string
  readonly decode: (list: string, cursor: string | null) => readonly (string | number)[] | null
}

// biome-ignore lint/suspicious/noExplicitAny: rows are decoded below
type Row = any

type Order = readonly ['ASC', '>'] | readonly ['DESC', '<']

const orderOf = (sort: string): Order => (sort.startsWith('-') ? ['DESC', '<'] : ['ASC', '>'])

/** pg-boss keeps queues of its own, whose names begin like this. */
const queuesIn = ([direction, beyond]: Order): string => `
SELECT q.name, q.policy, counts.by_state, counts.oldest_waiting
  FROM (SELECT name, policy FROM pgboss.queue
         WHERE ($1::text IS NULL OR name COLLATE "C" ${beyond} $1) AND name NOT LIKE '\\_\\_pgboss\\_\\_%'
         ORDER BY name COLLATE "C" ${direction} LIMIT $2) q
 CROSS JOIN LATERAL (
         SELECT coalesce(jsonb_object_agg(state, jobs), '{}') AS by_state,
                min(oldest) FILTER (WHERE state IN ('created', 'retry')) AS oldest_waiting
           FROM (SELECT state::text, count(*) AS jobs, min(created_on) AS oldest
                   FROM pgboss.job WHERE name = q.name GROUP BY state) each) counts
 ORDER BY q.name COLLATE "C" ${direction}`

const JOB_COLUMNS = `
  id, name, state::text, data, output, retry_count, retry_limit, created_on, start_after, started_on, completed_on,
  to_char(created_on AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS sort_key`

const jobsIn = ([direction, beyond]: Order): string => `
SELECT ${JOB_COLUMNS} FROM pgboss.job
 WHERE name = $1 AND ($2::text[] IS NULL OR state::text = ANY($2))
   AND ($3::timestamptz IS NULL OR (created_on, id) ${beyond} ($3, $4::uuid))
 ORDER BY created_on ${direction}, id ${direction} LIMIT $5`

export const createJobQueries = (boss: PgBoss, cursors: JobCursors): JobQueries => {
  const ask = async (text: string, values: unknown[]): Promise<readonly Row[]> =>
    (await boss.getDb().executeSql(text, values)).rows

  const isQueue = async (queue: string): Promise<boolean> =>
    (await ask('SELECT 1 FROM pgboss.queue WHERE name = $1', [queue])).length > 0

  const job = async (queue: string, id: string): Promise<JobView | null> => {
    const [row] = await ask(`SELECT ${JOB_COLUMNS} FROM pgboss.job WHERE name = $1 AND id = $2`, [queue, id])
    return row === undefined ? null : jobFromRow(row)
  }

  return {
    queues: async ({ limit, cursor, sort = 'name' }) => {
      const list = `queues:${sort}`
      const from = cursors.decode(list, cursor)?.[0] ?? null
      const rows = await ask(queuesIn(orderOf(sort)), [from, limit + 1])
      return page(rows, limit, queueFromRow, (row) => cursors.encode(list, [row.name]))
    },

    jobs: async (queue, { state }, { limit, cursor, sort = '-createdAt' }) => {
      const list = `jobs:${queue}:${state?.toSorted().join(',') ?? ''}:${sort}`
      const from = cursors.decode(list, cursor)
      if (!(await isQueue(queue))) return null
      const rows = await ask(jobsIn(orderOf(sort)), [
        queue,
        state ?? null,
        from?.[0] ?? null,
        from?.[1] ?? null,
        limit + 1,
      ])
      return page(rows, limit, jobFromRow, (row) => cursors.encode(list, [row.sort_key, row.id]))
    },

    retry: async (queue, id) => {
      const before = await job(queue, id)
      if (before === null) return null
      const retried = await retryOne(boss, queue, id)
      const after = (await job(queue, id)) ?? before
      return { retried, job: after }
    },
  }
}

/** False: it has not failed, or is not there any more; its queue may have gone with its replica since it was read. */
const retryOne = async (boss: PgBoss, queue: string, id: string): Promise<boolean> => {
  if ((await boss.getQueue(queue)) === null) return false
  return ((await boss.retry(queue, id)) as { readonly affected: number }).affected > 0
}

const page = <A>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => A,
  cursorAt: (row: Row) => string,
): { readonly items: readonly A[]; readonly nextCursor: string | null } => ({
  items: rows.slice(0, limit).map(view),
  nextCursor: rows.length > limit ? cursorAt(rows[limit - 1]) : null,
})

const queueFromRow = (row: Row): QueueView => ({
  name: row.name,
  policy: row.policy,
  counts: Object.fromEntries(jobStates.map((state) => [state, row.by_state[state] ?? 0])) as {
    readonly [S in JobState]: number
  },
  oldestWaitingAt: row.oldest_waiting,
})

const jobFromRow = (row: Row): JobView => ({
  id: row.id,
  queue: row.name,
  state: row.state,
  data: asObject(row.data),
  output: asObject(row.output),
  retryCount: row.retry_count,
  retryLimit: row.retry_limit,
  createdAt: row.created_on,
  startAfter: row.start_after,
  startedAt: row.started_on,
  completedAt: row.completed_on,
})

/** pg-boss wraps what is no object when it is an output; data may be anything. */
const asObject = (value: unknown): JobView['data'] => {
  if (value === null || value === undefined) return null
  return typeof value === 'object' && !Array.isArray(value) ? (value as JobView['data']) : { value }
}
