import { expect } from 'chai'
import { roles } from '../../domain/identity/caller.ts'
import type { JobQueries, JobView } from '../../domain/ports/jobs.ts'
import { jobUseCases } from '../../src/usecases/jobs.ts'
import { aCaller } from '../support/a-caller.ts'
import { T0 } from '../support/a-session.ts'
import { leftOf, rightOf } from '../support/fake-ports.ts'

const job: JobView = {
  id: 'job-1',
  queue: 'duty.sweep',
  state: 'active',
  data: null,
  output: null,
  retryCount: 0,
  retryLimit: 0,
  createdAt: T0,
  startAfter: T0,
  startedAt: null,
  completedAt: null,
}
const page = { limit: 50, cursor: null }
const queries: JobQueries = {
  queues: async () => ({ items: [], nextCursor: null }),
  jobs: async (queue) => (queue === 'duty.sweep' ? { items: [job], nextCursor: null } : null),
  retry: async (_queue, id) => (id === 'job-1' ? { retried: false, job } : null),
}

describe('jobs', () => {
  const jobs = jobUseCases(queries)
  const installation = aCaller({ role: 'installation' })

  it('are for the installation, and nobody else is told which there are', async () => {
    for (const role of roles.filter((one) => one !== 'installation')) {
      const caller = aCaller({ role })
      for (const answer of [
        await jobs.queues(caller, page)(),
        await jobs.list(caller, 'no such queue', {}, page)(),
        await jobs.retry(caller, 'duty.sweep', 'job-2')(),
      ])
        expect(leftOf<unknown>(answer), role).to.deep.equal({
          _tag: 'Forbidden',
          permission: 'administer_installation',
        })
    }
  })

  it('of a queue that is not there are not found, nor is a job that is not', async () => {
    expect(rightOf(await jobs.list(installation, 'duty.sweep', {}, page)()).items).to.deep.equal([job])
    expect(leftOf(await jobs.list(installation, 'other', {}, page)())).to.deep.include({ what: 'queue' })
    expect(leftOf(await jobs.retry(installation, 'duty.sweep', 'job-2')())).to.deep.include({ what: 'job' })
  })

  it('that have not failed are not run again', async () => {
    expect(leftOf(await jobs.retry(installation, 'duty.sweep', 'job-1')())).to.deep.equal({
      _tag: 'JobNotFailed',
      jobId: 'job-1',
      state: 'active',
    })
  })
})
