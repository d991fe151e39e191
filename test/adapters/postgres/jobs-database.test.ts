import { expect } from 'chai'
import { openJobsDatabase } from '../../../adapters/postgres/jobs-database.ts'
import { freshDatabase } from '../../support/postgres.ts'

const PREPARED = 'SELECT name, statement FROM pg_prepared_statements ORDER BY name'

describe('the statements of pg-boss', () => {
  it('are prepared when they come again and again, and planned anew when they have come ten times as often', async () => {
    const fresh = await freshDatabase()
    const database = openJobsDatabase({ url: fresh.url, maxConnections: 1 })
    for (let n = 0; n < 1_001; n += 1) {
      expect((await database.executeSql('SELECT $1::int + 1 AS sum', [n])).rows).to.deep.equal([{ sum: n + 1 }])
      if (n < 600) await database.executeSql('SELECT 42 AS answer')
      await database.executeSql(`SELECT $1::int AS once_${n}`, [n])
      await database.executeSql('BEGIN; SELECT 1; COMMIT')
    }
    const { rows } = await database.executeSql(PREPARED)
    expect(rows).to.deep.equal([
      { name: 'jobs_0_3', statement: 'SELECT $1::int + 1 AS sum' },
      { name: 'jobs_0_4', statement: 'SELECT $1::int + 1 AS sum' },
      { name: 'jobs_1_3', statement: 'SELECT 42 AS answer' },
    ])
    await database.close()
    await fresh.drop()
  })

  it('that are quick are given up soon when no answer comes, and work again', async () => {
    const fresh = await freshDatabase()
    const isQuick = (text: string): boolean => text.includes('quick')
    const database = openJobsDatabase({ url: fresh.url, isQuick, quickAnswerTimeoutMs: 1_000 })
    const slow = database.executeSql('SELECT pg_sleep(1)')
    const error = await database.executeSql('SELECT pg_sleep(60) AS quick').catch((thrown: Error) => thrown)
    expect((error as Error).message).to.contain('no answer within 1000 ms')
    expect((await database.executeSql('SELECT 1 AS quick')).rows).to.deep.equal([{ quick: 1 }])
    expect((await slow).rows).to.have.lengthOf(1)
    await database.close()
    await fresh.drop()
  })

  it('do not wait for the disk', async () => {
    const fresh = await freshDatabase()
    const database = openJobsDatabase({ url: fresh.url })
    const { rows } = await database.executeSql('SHOW synchronous_commit')
    expect(rows).to.deep.equal([{ synchronous_commit: 'off' }])
    await database.close()
    await fresh.drop()
  })
})
