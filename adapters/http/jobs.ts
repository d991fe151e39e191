import { pipe, TE } from '../../domain/fp.ts'
import type { jobRoutes } from '../../src/api/job-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import { accepted, ok } from './replies.ts'

export const jobHandlers = ({ jobs }: Application): Handlers<keyof typeof jobRoutes> => ({
  listQueues: ({ caller, query: { limit, cursor, sort } }) =>
    pipe(jobs.queues(caller, pageRequest(limit, cursor, sort)), TE.map(ok)),
  listJobs: ({ caller, params, query: { limit, cursor, sort, ...filter } }) =>
    pipe(jobs.list(caller, params.queue, filter, pageRequest(limit, cursor, sort)), TE.map(ok)),
  retryJob: ({ caller, params }) => pipe(jobs.retry(caller, params.queue, params.id), TE.map(accepted)),
})
