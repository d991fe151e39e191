import * as c from '../../domain/codec/codec.ts'
import { type JobView, jobStates, type QueueView } from '../../domain/ports/jobs.ts'
import { byCreation } from '../../domain/ports/page.ts'
import { time } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { commaList, paging, query, sorting } from './query.ts'

/** A queue of the server's own acts, with how many jobs are in which state now. */
export const queueCodec = represents<QueueView>()(
  c.openObject({
    name: c.string(),
    policy: c.string(),
    counts: c.openObject({
      created: c.integer(),
      retry: c.integer(),
      active: c.integer(),
      completed: c.integer(),
      cancelled: c.integer(),
      failed: c.integer(),
    }),
    oldestWaitingAt: c.nullable(time),
  }),
)
export type Queue = c.TypeOf<typeof queueCodec>

export const jobCodec = represents<JobView>()(
  c.openObject({
    id: c.described(c.string(), { format: 'uuid' }),
    queue: c.string(),
    state: c.oneOf(jobStates),
    data: c.nullable(c.anyObject),
    output: c.nullable(c.anyObject),
    retryCount: c.integer(),
    retryLimit: c.integer(),
    createdAt: time,
    startAfter: time,
    startedAt: c.nullable(time),
    completedAt: c.nullable(time),
  }),
)
export type Job = c.TypeOf<typeof jobCodec>

export const queuePageCodec = pageOf(queueCodec)
export const jobPageCodec = pageOf(jobCodec)

export const listJobsQuery = query({ state: commaList(c.oneOf(jobStates)), ...sorting(byCreation), ...paging })
