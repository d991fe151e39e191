import { expect } from 'chai'
import type { PgBoss } from 'pg-boss'
import { createDrainQueue, workDrains } from '../../../adapters/pgboss/drains.ts'
import { createJobQueries } from '../../../adapters/pgboss/job-queries.ts'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import type { AgentId, ReplicaId } from '../../../domain/ids.ts'
import type { JobQueries, JobView } from '../../../domain/ports/jobs.ts'
import type { Page } from '../../../domain/ports/page.ts'
import { BadCursorError } from '../../../domain/ports/sessions.ts'
import { eventually } from '../../support/eventually.ts'
import { type Jobs, openJobs } from '../../support/jobs.ts'

const REPLICA = '01890a5d-ac96-774b-bcce-b302099a8100' as ReplicaId
const NO_SUCH_ID = '01890a5d-ac96-774b-bcce-b30209900000'

describe('jobs as people see them', () => {
  let jobs: Jobs
  let boss: PgBoss
  let queries: JobQueries
  before(async () => {
    jobs = await openJobs()
    boss = await jobs.boss()
    queries = createJobQueries(boss, createCursors(Buffer.alloc(32, 7)))
  })
  after(() => jobs.close())

  /** A queue with so many jobs in it, the first of them oldest. */
  const queueOf = async (name: string, waiting: number): Promise<readonly string[]> => {
    await boss.createQueue(name, { retryLimit: 0 })
    const ids: string[] = []
    for (let n = 0; n < waiting; n += 1) ids.push((await boss.send(name, { n })) ?? expect.fail('it was not sent'))
    return ids
  }

  const allOf = async (queue: string, filter: Parameters<JobQueries['jobs']>[1], limit: number) => {
    const items: JobView[] = []
    for (let cursor: string | null = null; ; ) {
      const page: Page<JobView> =
        (await queries.jobs(queue, filter, { limit, cursor })) ?? expect.fail('there is such a queue')
      items.push(...page.items)
      expect(page.items.length).to.be.at.most(limit)
      cursor = page.nextCursor
      if (cursor === null) return items
    }
  }

  it('are counted by state, in pages of queues by name', async () => {
    const [first] = await queueOf('b.counted', 3)
    await queueOf('a.empty', 0)
    await boss.fetch('b.counted')
    await boss.fail('b.counted', first ?? '', { message: 'no' })
    await boss.fetch('b.counted')
    const page = await queries.queues({ limit: 1, cursor: null })
    expect(page.items.map(({ name }) => name)).to.deep.equal(['a.empty'])
    expect(page.items[0]).to.deep.include({ policy: 'standard', oldestWaitingAt: null })
    const next = await queries.queues({ limit: 1, cursor: page.nextCursor })
    expect(next.items[0]?.name).to.equal('b.counted')
    expect(next.items[0]?.counts).to.deep.equal({
      created: 1,
      retry: 0,
      active: 1,
      completed: 0,
      cancelled: 0,
      failed: 1,
    })
    expect(next.items[0]?.oldestWaitingAt).to.be.instanceOf(Date)
    expect((await queries.queues({ limit: 500, cursor: null })).nextCursor).to.equal(null)
  })

  it('of replicas are among them, with whom they were to wake', async () => {
    const { leave } = await workDrains({
      boss,
      overhear: jobs.overhear(boss),
      replicaId: REPLICA,
      drain: () => {},
      requestInventory: () => {},
      onError: jobs.complain,
    })
    await createDrainQueue(boss).send(REPLICA, ['edge-1' as AgentId])
    const name = `outbox.drain.${REPLICA}`
    expect((await queries.queues({ limit: 500, cursor: null })).items.map((queue) => queue.name)).to.include(name)
    const [job] = await eventually(async () => {
      const done = await allOf(name, { state: ['completed'] }, 10)
      expect(done).to.have.length(1)
      return done
    })
    expect(job).to.deep.include({ queue: name, state: 'completed', data: { agentIds: ['edge-1'] } })
    await leave()
  })

  it('are listed newest first, in pages, and by state', async () => {
    const ids = await queueOf('listed', 7)
    expect((await allOf('listed', {}, 3)).map(({ id }) => id)).to.deep.equal(ids.toReversed())
    await boss.cancel('listed', ids[2] ?? '')
    const [cancelled] = await allOf('listed', { state: ['cancelled', 'failed'] }, 3)
    expect(cancelled).to.deep.include({ id: ids[2], state: 'cancelled', data: { n: 2 }, retryCount: 0 })
    expect(await queries.jobs('no.such.queue', {}, { limit: 3, cursor: null })).to.equal(null)
  })

  it('take no cursor that is another list’s', async () => {
    await queueOf('one', 2)
    await queueOf('other', 2)
    const page = await queries.jobs('one', {}, { limit: 1, cursor: null })
    for (const cursor of [page?.nextCursor ?? null, 'forged']) {
      const refusal = await queries.jobs('other', {}, { limit: 1, cursor }).catch((error: unknown) => error)
      expect(refusal).to.be.instanceOf(BadCursorError)
    }
  })

  it('that failed are run once more, and only those', async () => {
    const [id = ''] = await queueOf('retried', 1)
    expect(await queries.retry('retried', id)).to.deep.include({ retried: false })
    await boss.fetch('retried')
    await boss.fail('retried', id, { message: 'no such table' })
    const failed = (await allOf('retried', { state: ['failed'] }, 10))[0]
    expect(failed?.output).to.deep.equal({ message: 'no such table' })
    const answer = await queries.retry('retried', id)
    expect([answer?.retried, answer?.job.state]).to.deep.equal([true, 'retry'])
    expect((await boss.fetch('retried')).map((job) => job.id)).to.deep.equal([id])
    expect(await queries.retry('retried', NO_SUCH_ID)).to.equal(null)
    expect(await queries.retry('no.such.queue', id)).to.equal(null)
  })

  it('of a short queue are run once more also while the next one waits', async () => {
    await boss.createQueue('short', { policy: 'short', retryLimit: 0 })
    const id = (await boss.send('short', {})) ?? ''
    await boss.fetch('short')
    await boss.fail('short', id, {})
    await boss.send('short', {})
    expect((await queries.retry('short', id))?.retried).to.equal(true)
  })
})
