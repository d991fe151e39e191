/** What the rows of deliveries say of the jobs that carry them. */
import type { RunSql } from '../../domain/ports/webhooks.ts'
import type { Queries } from './pool.ts'

/**
 * A job is believed in for so long after it was sent, or after its last attempt was to be followed by another: more than the longest
 * wait between two attempts. After that it counts as lost, and another is sent.
 */
export const JOB_LASTS = `interval '5 hours'`

/** One that is about to be over is over by then; while it is not, pg-boss takes no other for the same delivery. */
export const JOB_ENDS = `interval '2 minutes'`

/** pg-boss' own statements, in a transaction of ours. */
export const runIn =
  (query: Queries['query']): RunSql =>
  async (text, values) => {
    const { rows } = await query({ text, ...(values === undefined ? {} : { values }) })
    return { rows: [...rows] }
  }
