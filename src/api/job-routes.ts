import { byName } from '../../domain/ports/page.ts'
import { jobId, queueName } from './fields.ts'
import { jobCodec, jobPageCodec, listJobsQuery, queuePageCodec } from './job.ts'
import { pagesQuery } from './page.ts'
import { nothingSent, type Route, reading } from './route.ts'

const aboutJobs = { ...nothingSent, tag: 'Jobs', access: 'administer_installation' } as const

export const jobRoutes = {
  listQueues: {
    ...aboutJobs,
    ...reading,
    path: '/api/v1/jobs',
    summary: 'List the queues of the server’s own acts',
    description:
      'With how many jobs are in which state now. Each server has a queue `outbox.drain.<replica>` of its own.',
    params: {},
    query: pagesQuery(byName),
    answers: { 200: { description: 'A page of queues, by name', codec: queuePageCodec } },
  },
  listJobs: {
    ...aboutJobs,
    ...reading,
    path: '/api/v1/jobs/{queue}',
    summary: 'List the jobs of a queue',
    params: { queue: queueName },
    query: listJobsQuery,
    answers: { 200: { description: 'A page of jobs, the newest first', codec: jobPageCodec } },
  },
  retryJob: {
    ...aboutJobs,
    method: 'post',
    path: '/api/v1/jobs/{queue}/{id}/retry',
    summary: 'Run a failed job again',
    params: { queue: queueName, id: jobId },
    answers: { 202: { description: 'The job, waiting again', codec: jobCodec } },
    problems: ['job_not_failed'],
  },
} as const satisfies { readonly [operationId: string]: Route }
