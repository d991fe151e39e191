/**
 * One login owns the schema and migrates; servers log in as another, which may do nothing in the database but take the two roles of
 * servers (and does not even inherit what those may).
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import pg from 'pg'
import { testServerUrl } from '../support/postgres.ts'
import { eventually } from './support/eventually.ts'
import { scene } from './support/scene.ts'
import { agent, dev, enrol, migratedDatabase, server, streamspace } from './support/streamspace.ts'

describe('a server whose login has only membership of two roles', function () {
  this.timeout(120_000)
  const here = scene('suite')
  const suffix = randomBytes(4).toString('hex')
  const [owner, login, name] = [`owner_${suffix}`, `login_${suffix}`, `restricted_${suffix}`]
  let ownersUrl: string
  let loginsUrl: string

  const ask = async (url: string, ...statements: readonly string[]) => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const answers = []
      for (const statement of statements) answers.push((await client.query(statement)).rows)
      return answers
    } finally {
      await client.end()
    }
  }
  const urlAs = (server: string, user: string): string => {
    const url = new URL(server)
    url.username = user
    url.password = 'secret'
    url.pathname = `/${name}`
    return url.href
  }

  before(async () => {
    // Another database of the same PostgreSQL has made the roles, as those are the whole server's.
    await migratedDatabase(here)
    const superuser = await testServerUrl()
    here.finally(() =>
      ask(superuser, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `DROP ROLE IF EXISTS ${owner}, ${login}`),
    )
    await ask(
      superuser,
      `CREATE ROLE ${owner} LOGIN PASSWORD 'secret'`,
      `CREATE ROLE ${login} LOGIN NOINHERIT PASSWORD 'secret'`,
      `GRANT streamspace_tenant, streamspace_system TO ${owner}, ${login}`,
      `CREATE DATABASE ${name} OWNER ${owner}`,
    )
    ownersUrl = urlAs(superuser, owner)
    loginsUrl = urlAs(superuser, login)
  })

  const migrated = async (url: string) => {
    const program = streamspace(here, ['migrate'], { DATABASE_URL: url })
    const { code } = await program.end(60_000)
    return { code, said: program.stdout() + program.stderr() }
  }

  it('is told that another one migrates, while there is something to migrate', async () => {
    const { code, said } = await migrated(loginsUrl)
    expect(code, said).to.equal(1)
    expect(said).to.include('nothing was changed').and.to.include('rights-in-the-database')
    const program = streamspace(here, ['server'], { DATABASE_URL: loginsUrl })
    expect(await program.end(60_000)).to.deep.equal({ code: 1, signal: null })
    expect(program.stderr()).to.include('streamspace migrate')
  })

  it('finds what another one has migrated, several times at once', async () => {
    const all = await Promise.all(Array.from({ length: 3 }, () => migrated(ownersUrl)))
    for (const { code, said } of all) expect(code, said).to.equal(0)
    const { code, said } = await migrated(loginsUrl)
    expect(code, said).to.equal(0)
    expect(said).to.include('up to date')
  })

  it('may touch nothing itself', async () => {
    for (const statement of [
      'SELECT FROM sessions',
      'SELECT FROM api_keys',
      'SELECT FROM pgboss.job',
      'SELECT FROM schema_version',
      'CREATE TABLE mine ()',
      'SET ROLE streamspace_tenant; TRUNCATE sessions',
      'SET ROLE streamspace_tenant; SELECT FROM pgboss.job',
      'SET ROLE streamspace_system; ALTER TABLE sessions DISABLE ROW LEVEL SECURITY',
      'SET ROLE streamspace_system; DROP POLICY own ON api_keys',
      'SET ROLE streamspace_system; CREATE TABLE pgboss.mine ()',
      `SET ROLE ${owner}`,
    ]) {
      const error = await ask(loginsUrl, statement).catch((thrown: { code?: string }) => thrown)
      expect((error as { code?: string }).code, statement).to.equal('42501')
    }
    const [, nobodys] = await ask(loginsUrl, 'SET ROLE streamspace_tenant', 'SELECT FROM api_keys')
    expect(nobodys).to.deep.equal([])
  })

  it('serves, delivers, does its duties and keeps its jobs', async () => {
    const control = await server(here, loginsUrl, { STREAMSPACE_INVENTORY_INTERVAL_MS: '1000' })
    const token = await enrol(control.rest, 'edge-1')
    agent(here, { id: 'edge-1', token, url: control.url, dataDir: join(await here.folder(), 'agent') })
    const { id } = await control.rest.create({ template: 'hello-web' })
    await control.rest.until(id, 'running')
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id)
    for (const duty of ['sweep', 'deadlines', 'placement', 'replicas', 'retention'])
      await eventually(async () => {
        const { items } = (await control.rest.get(`/jobs/duty.${duty}?state=completed`)).body
        expect(items, duty).not.to.have.length(0)
      })
    for (const { name: queue } of (await control.rest.get('/jobs?limit=500')).body.items)
      expect((await control.rest.get(`/jobs/${queue}?state=failed`)).body.items, queue).to.deep.equal([])
    expect(
      control.program
        .stdout()
        .split('\n')
        .filter((line) => /^\{"level":[456]0/.test(line)),
    ).to.deep.equal([])
    control.program.signal('SIGTERM')
    expect(await control.program.end()).to.deep.equal({ code: 0, signal: null })
  })

  it('is enough for `npm start` and for a new installation key', async () => {
    const reset = streamspace(here, ['admin-key', 'reset'], {
      DATABASE_URL: loginsUrl,
      STREAMSPACE_DATA_DIR: join(await here.folder(), 'data'),
    })
    expect(await reset.end(30_000), reset.stderr()).to.deep.equal({ code: 0, signal: null })
    const dataDir = join(await here.folder(), 'data')
    await ask(ownersUrl, 'SET ROLE streamspace_system', `UPDATE api_keys SET revoked_at = now()`)
    const home = await dev(here, dataDir, {
      DATABASE_URL: loginsUrl,
      // What the server of the test before has sealed.
      STREAMSPACE_SECRET_KEY: 'a secret of the end-to-end tests',
    })
    const { id } = await home.rest.create({ template: 'hello-web' })
    await home.rest.until(id, 'running')
    home.program.signal('SIGTERM')
    expect(await home.program.end()).to.deep.equal({ code: 0, signal: null })
  })
})
