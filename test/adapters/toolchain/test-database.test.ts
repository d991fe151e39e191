import { expect } from 'chai'
import pg from 'pg'
import { databasesFrom, type FreshDatabase, type Migrate, testServerUrl } from '../../support/postgres.ts'

describe('a database of a test', () => {
  let migrations = 0
  let databases: Awaited<ReturnType<typeof databasesFrom>>

  const migrate: Migrate = async ({ databaseUrl }) => {
    migrations += 1
    await ask(databaseUrl, 'CREATE TABLE notes (text text)')
  }

  before(async () => {
    databases = await databasesFrom(await testServerUrl(), migrate)
  })

  it('is migrated, empty, and each one its own', async () => {
    const [first, second] = await Promise.all([databases.fresh(), databases.fresh()])
    await ask(first.url, `INSERT INTO notes VALUES ('mine')`)
    expect(await ask(first.url, 'SELECT text FROM notes')).to.deep.equal([{ text: 'mine' }])
    expect(await ask(second.url, 'SELECT text FROM notes')).to.deep.equal([])
    expect(migrations).to.equal(1)
    await Promise.all([first.drop(), second.drop()])
  })

  it('is dropped although someone forgot a connection', async () => {
    const { url, drop }: FreshDatabase = await databases.fresh()
    const forgotten = new pg.Client({ connectionString: url })
    const cut = new Promise((resolve) => forgotten.on('error', resolve))
    await forgotten.connect()
    await drop()
    await cut
    expect(await ask(url, 'SELECT 1').catch((error: Error) => error.message)).to.contain('does not exist')
  })
})

const ask = async (url: string, text: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
