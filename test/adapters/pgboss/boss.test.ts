import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { startBoss } from '../../../adapters/pgboss/boss.ts'
import { workDrains } from '../../../adapters/pgboss/drains.ts'
import { workDuties } from '../../../adapters/pgboss/duties.ts'
import { openJobsDatabase } from '../../../adapters/postgres/jobs-database.ts'
import type { AgentId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { type Jobs, migrateBoss, openJobs } from '../../support/jobs.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { ids } from '../../support/rows.ts'

describe('the schema of pg-boss', () => {
  let jobs: Jobs
  beforeEach(async () => {
    jobs = await openJobs()
  })
  afterEach(() => jobs.close())

  it('can be made twice, and by several at the same time', async () => {
    await Promise.all([migrateBoss(jobs.url), migrateBoss(jobs.url)])
    await jobs.boss()
    const fresh = await freshDatabase()
    await Promise.all(Array.from({ length: 3 }, () => migrateBoss(fresh.url)))
    await fresh.drop()
  })

  it('is never made by a server that starts', async () => {
    const fresh = await freshDatabase()
    const database = openJobsDatabase({ url: fresh.url })
    const error = await startBoss(database, () => {}).then(
      async (boss) => boss.stop({ graceful: false }),
      (thrown: unknown) => thrown,
    )
    expect(error).to.be.an.instanceOf(Error)
    await database.close()
    await fresh.drop()
  })

  it('is enough for a server whose login may do nothing but take the roles of servers', async () => {
    const role = `runtime_${randomBytes(6).toString('hex')}`
    await jobs.ask(`CREATE ROLE ${role} LOGIN NOINHERIT PASSWORD 'runtime'`)
    try {
      await jobs.ask('REVOKE CREATE ON SCHEMA public FROM PUBLIC')
      await jobs.ask(`GRANT streamspace_tenant, streamspace_system TO ${role}`)
      const url = new URL(jobs.url)
      url.username = role
      url.password = 'runtime'
      const boss = await jobs.boss(url.href)
      const drained: AgentId[] = []
      let runs = 0
      const { leave } = await workDrains({
        boss,
        overhear: jobs.overhear(boss),
        replicaId: ids.replica(),
        drain: (agentId) => drained.push(agentId),
        requestInventory: () => {},
        onError: jobs.complain,
      })
      const duty = { name: 'careful', everyMs: 50, run: async () => ({ runs: ++runs }) }
      const duties = await workDuties(boss, [duty], () => {})
      await eventually(() => expect(runs).to.be.greaterThan(1))
      duties.stop()
      await leave()
      await boss.stop({ graceful: false })
      expect(jobs.complaints).to.deep.equal([])
    } finally {
      await jobs.ask(`DROP OWNED BY ${role}`)
      await jobs.ask(`DROP ROLE ${role}`)
    }
  })
})
