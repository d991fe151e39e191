/** Two orgs over PgBouncer in transaction mode, of which all clients share one connection: what one leaves behind the next would find. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import pg from 'pg'
import { type Database, openDatabase } from '../../../adapters/postgres/pool.ts'
import type { OrgId } from '../../../domain/ids.ts'
import { needsPgBouncer, type PgBouncer, startPgBouncer } from '../../support/pgbouncer.ts'
import { ACME, aCreation, commit, GLOBEX, nowhere, openStores, type Stores } from '../../support/rows.ts'

const ROUNDS = 300
/** No statement here names the org that it is for: the second lock stands alone. */
const WHOSE = { text: 'SELECT DISTINCT org_id FROM sessions ORDER BY 1' }

describe('two orgs behind a transaction pooler with one connection', function () {
  this.timeout(120_000)
  before(needsPgBouncer)
  let stores: Stores
  let pooler: PgBouncer
  let database: Database
  let directory: string

  beforeEach(async () => {
    stores = await openStores()
    for (const orgId of [ACME, GLOBEX]) await commit(stores, aCreation(nowhere, { orgId }))
    directory = await mkdtemp(join(tmpdir(), 'streamspace-test-pooler-'))
    // As root the pooler runs as a user of its own.
    await chmod(directory, 0o755)
    pooler = await startPgBouncer({ directory: join(directory, 'pooler'), databaseUrl: stores.url, poolSize: 1 })
    database = openDatabase({ url: pooler.url, pooler: 'transaction', maxConnections: 8 })
  })
  afterEach(async () => {
    await database.close()
    await pooler.stop()
    await stores.close()
    await rm(directory, { recursive: true, force: true })
  })

  const orgsIn = ({ rows }: { readonly rows: readonly { org_id: string }[] }) => rows.map(({ org_id }) => org_id)
  const ways: readonly ((orgId: OrgId) => Promise<readonly string[]>)[] = [
    async (orgId) => orgsIn(await database.of(orgId).query(WHOSE)),
    async (orgId) => orgsIn(await database.of(orgId).query({ ...WHOSE, name: 'whose' })),
    (orgId) =>
      database.of(orgId).transaction(async (query) => {
        const first = orgsIn(await query(WHOSE))
        expect(orgsIn(await query(WHOSE))).to.deep.equal(first)
        return first
      }),
    (orgId) =>
      database.together(async (bound) => {
        const own = orgsIn(await bound.of(orgId).query(WHOSE))
        expect(orgsIn(await bound.query(WHOSE)), 'the system').to.deep.equal([ACME, GLOBEX])
        return own
      }),
  ]

  it('see their own rows alone, whatever goes on at the same moment, and also after what fails', async () => {
    const failing = (orgId: OrgId): Promise<unknown> =>
      database
        .of(orgId)
        .query({
          text: `INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
                        VALUES ('another', gen_random_uuid(), 'x', 1, '{}', 'x', now())`,
        })
        .catch((error: { code?: string }) => error.code)
    const all = Array.from({ length: ROUNDS }, async (_, round) => {
      const orgId = round % 2 === 0 ? ACME : GLOBEX
      if (round % 10 === 9) expect(await failing(orgId)).to.equal('42501')
      expect(await ways[round % ways.length]?.(orgId)).to.deep.equal([orgId])
      if (round % 7 === 0) expect(orgsIn(await database.query(WHOSE))).to.deep.equal([ACME, GLOBEX])
    })
    await Promise.all(all)
  })

  it('leave nothing behind on the connection', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, round) => ways[round % ways.length]?.(round % 2 ? ACME : GLOBEX)))
    const client = new pg.Client({ connectionString: pooler.url })
    await client.connect()
    const { rows } = await client.query(
      `SELECT current_user = session_user AS as_login, coalesce(current_setting('streamspace.org', true), '') AS org`,
    )
    await client.end()
    expect(rows).to.deep.equal([{ as_login: true, org: '' }])
    expect(pooler.log().filter((line) => /WARNING|ERROR|FATAL|unsupported/.test(line))).to.deep.equal([])
  })
})
