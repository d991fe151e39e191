/** On a PostgreSQL of its own: roles are the whole server's, and here nobody has made them yet. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import pg from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../adapters/embedded-postgres/start.ts'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import type { OrgId } from '../../../domain/ids.ts'
import { migrateAll } from '../../../src/migrate.ts'

describe('a login that migrates and is no superuser', function () {
  this.timeout(120_000)
  let directory: string
  let postgres: EmbeddedPostgres
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'streamspace-test-login-'))
    postgres = await startEmbeddedPostgres({
      dataDir: join(directory, 'postgres'),
      settings: { fsync: 'off' },
      onLog: () => {},
    })
  })
  after(async () => {
    await postgres.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const ask = async (url: string, ...statements: readonly string[]): Promise<void> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      for (const statement of statements) await client.query(statement)
    } finally {
      await client.end()
    }
  }
  const aDatabaseOf = async (login: string, attributes = ''): Promise<string> => {
    await ask(
      postgres.url,
      `CREATE ROLE ${login} LOGIN ${attributes} PASSWORD 'secret'`,
      `CREATE DATABASE of_${login} OWNER ${login}`,
    )
    const url = new URL(postgres.url)
    url.username = login
    url.password = 'secret'
    url.pathname = `/of_${login}`
    return url.href
  }
  const works = async (url: string): Promise<void> => {
    const database = openDatabase({ url, maxConnections: 1 })
    try {
      await database.query({ text: `INSERT INTO orgs (id, name) VALUES ('acme', 'Acme'), ('globex', 'Globex')` })
      const { rows } = await database.of('acme' as OrgId).query({ text: 'SELECT id FROM orgs' })
      expect(rows).to.deep.equal([{ id: 'acme' }])
    } finally {
      await database.close()
    }
  }

  it('says what a superuser has to do when it may not make roles, and goes on when that is done', async () => {
    const url = await aDatabaseOf('humble')
    const error = await migrateAll(url, () => {}).catch((thrown: Error) => thrown)
    expect((error as Error).message).to.include('the role streamspace_tenant cannot be made')
    const toDo = [
      'CREATE ROLE streamspace_tenant NOLOGIN',
      'CREATE ROLE streamspace_system NOLOGIN',
      'GRANT streamspace_tenant, streamspace_system TO "humble"',
    ]
    for (const statement of toDo) expect((error as Error).message).to.include(`${statement};`)
    await ask(postgres.url, ...toDo)
    await migrateAll(url, () => {})
    await works(url)
    await ask(
      postgres.url,
      'DROP DATABASE of_humble',
      'DROP ROLE humble',
      'DROP ROLE streamspace_tenant, streamspace_system',
    )
  })

  it('makes the roles where it may, and takes them as a server', async () => {
    const url = await aDatabaseOf('maker', 'CREATEROLE')
    await migrateAll(url, () => {})
    await works(url)
    await migrateAll(url, () => {})
  })

  it('of a second database finds them made by somebody else', async () => {
    const url = await aDatabaseOf('second', 'CREATEROLE')
    const error = await migrateAll(url, () => {}).catch((thrown: Error) => thrown)
    expect((error as Error).message).to.match(/the role streamspace_tenant cannot be (made or )?taken/)
    await ask(postgres.url, 'GRANT streamspace_tenant, streamspace_system TO second')
    await migrateAll(url, () => {})
    await works(url)
  })
})
