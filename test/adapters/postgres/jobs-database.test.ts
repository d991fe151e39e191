import { expect } from 'chai'
import { openJobsDatabase } from '../../../adapters/postgres/jobs-database.ts'
import { freshDatabase } from '../../support/postgres.ts'

const PREPARED = 'SELECT statement FROM pg_prepared_statements ORDER BY statement'

describe('the statements of pg-boss', () => {
  it('are prepared when they come again and again, and no others', async () => {
    const fresh = await freshDatabase()
    const database = openJobsDatabase({ url: fresh.url, maxConnections: 1 })
    for (let n = 0; n < 30; n += 1) {
      expect((await database.executeSql('SELECT $1::int + 1 AS sum', [n])).rows).to.deep.equal([{ sum: n + 1 }])
      await database.executeSql('SELECT 42 AS answer')
      await database.executeSql(`SELECT $1::int AS once_${n}`, [n])
      await database.executeSql('BEGIN; SELECT 1; COMMIT')
    }
    const { rows } = await database.executeSql(PREPARED)
    expect(rows.map(({ statement }) => statement)).to.deep.equal(['SELECT $1::int + 1 AS sum', 'SELECT 42 AS answer'])
    await database.close()
    await fresh.drop()
  })
})
