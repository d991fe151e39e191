import { readdirSync } from 'node:fs'
import { expect } from 'chai'
import pg from 'pg'
import { migrate, schemaVersion } from '../../../adapters/postgres/migrate.ts'
import type { Row } from '../../../adapters/postgres/pool.ts'
import { databasesFrom, type FreshDatabase, testServerUrl } from '../../support/postgres.ts'

/** Numbers may be left out. */
const FILES = readdirSync(new URL('../../../migrations', import.meta.url)).filter((name) =>
  name.endsWith('.sql'),
).length

describe('migrations', () => {
  let databases: Awaited<ReturnType<typeof databasesFrom>>
  let empty: FreshDatabase
  before(async () => {
    databases = await databasesFrom(await testServerUrl(), async () => {})
  })
  beforeEach(async () => {
    empty = await databases.fresh()
  })
  afterEach(() => empty.drop())

  const ask = async (text: string): Promise<readonly Row[]> => {
    const client = new pg.Client({ connectionString: empty.url })
    await client.connect()
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end()
    }
  }
  const applied = async (): Promise<readonly string[]> => {
    const lines: string[] = []
    await migrate({ databaseUrl: empty.url, log: (line) => lines.push(line) })
    return lines
  }

  it('make the schema from nothing, and change nothing the second time', async () => {
    const { known } = await schemaVersion(empty.url)
    expect(await schemaVersion(empty.url)).to.deep.equal({ present: 0, known })
    expect(await applied()).to.have.length(FILES)
    expect(await schemaVersion(empty.url)).to.deep.equal({ present: known, known })
    const tables = await ask(`SELECT count(*)::int AS n FROM information_schema.tables WHERE table_schema = 'public'`)
    expect(tables[0].n).to.be.greaterThan(10)
    expect(await applied()).to.deep.equal([])
  })

  it('are applied once when several are started at the same time', async () => {
    const lines = await Promise.all(Array.from({ length: 4 }, applied))
    expect(lines.flat()).to.have.length(FILES)
    expect(await ask('SELECT version FROM schema_version WHERE version > 0')).to.have.length(FILES)
  })

  it('refuse a schema that is newer than this program, and leave it as it is', async () => {
    const [{ known }] = [await schemaVersion(empty.url), await applied()]
    await ask(`INSERT INTO schema_version (version, name) VALUES (${known + 7}, 'from the future')`)
    const error = await applied().catch((thrown: Error) => thrown)
    expect((error as Error).message).to.contain(`schema version ${known + 7}, this program knows ${known}`)
    expect(await schemaVersion(empty.url)).to.deep.equal({ present: known + 7, known })
  })

  it('refuse one that was edited after it was applied', async () => {
    await applied()
    await ask(`UPDATE schema_version SET md5 = 'another' WHERE version = 1`)
    const error = await applied().catch((thrown: Error) => thrown)
    expect(error).to.be.an.instanceOf(Error)
  })

  it('that fail leave nothing half done', async () => {
    await ask('CREATE TABLE outbox (mine text)')
    const error = await applied().catch((thrown: Error) => thrown)
    expect((error as Error).message).to.contain('outbox')
    expect(await schemaVersion(empty.url)).to.deep.include({ present: 0 })
    expect(await ask(`SELECT to_regclass('sessions') AS sessions`)).to.deep.equal([{ sessions: null }])
  })
})
