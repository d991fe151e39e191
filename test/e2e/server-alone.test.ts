/** `streamspace server` by itself: what it refuses to start on, and a database that goes away and comes back. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type Server as NetServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../adapters/embedded-postgres/start.ts'
import { NOBODYS_PORT, portToKeep } from '../support/ports.ts'
import { freshDatabase, testServerUrl } from '../support/postgres.ts'
import { eventually } from './support/eventually.ts'
import { upgrade } from './support/raw-agent.ts'
import { type Environment, type Program, scene } from './support/scene.ts'
import { agent, dev, enrol, migratedDatabase, server, streamspace, usedDataDir } from './support/streamspace.ts'
import { idle, putTemplate } from './support/templates.ts'

const listenSomewhere = (): Promise<{ readonly port: number; readonly holder: NetServer }> =>
  new Promise((resolve) => {
    const holder = createServer()
    holder.listen(0, '127.0.0.1', () => resolve({ port: (holder.address() as { port: number }).port, holder }))
  })

const query = async (url: string, text: string): Promise<readonly Record<string, unknown>[]> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

describe('a server by itself', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let dataDir: string
  /** Begun first and looked at last: it tries for half a minute. */
  let hopeless: Program
  /** In milliseconds. Measured when it ends, however long the tests in between take. */
  let hopelessTook: Promise<number>
  let hopelessUrl: string
  /** Begun as early: PostgreSQL knows its user, and not by this password. */
  let lockedOut: Program

  const start = (env: Environment): Program =>
    streamspace(here, ['server'], { STREAMSPACE_DATA_DIR: dataDir, PORT: '0', ...env })

  const refuses = async (program: Program, code: number): Promise<string> => {
    const ended = await program.end(20_000)
    expect(ended, program.stderr()).to.deep.equal({ code, signal: null })
    expect(program.stdout()).not.to.include('listening')
    expect(program.stderr(), 'for a person, not a stack').not.to.match(/\n {4}at /)
    return program.stderr()
  }

  /** A database of a name of its own, empty. */
  const emptyDatabase = async (): Promise<string> => {
    const url = new URL(await testServerUrl())
    const name = `streamspace_e2e_${randomBytes(6).toString('hex')}`
    await query(url.href, `CREATE DATABASE ${name}`)
    here.finally(() => query(url.href, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
    return new URL(`/${name}`, url).href
  }

  before(async () => {
    dataDir = join(await here.folder(), 'data')
    hopelessUrl = `postgres://someone:opensesame@127.0.0.1:${NOBODYS_PORT}/nothing`
    const since = performance.now()
    hopeless = start({ DATABASE_URL: hopelessUrl })
    hopelessTook = hopeless.end(90_000).then(() => performance.now() - since)
    hopelessTook.catch(() => {}) // told by the test that waits for it
    const locked = new URL(await testServerUrl())
    locked.password = 'opensesame'
    lockedOut = start({ DATABASE_URL: locked.href })
  })

  it('needs to be told its database', async () => {
    expect(await refuses(start({}), 2)).to.include('DATABASE_URL')
  })

  it('names every setting that is wrong, and starts nothing', async () => {
    const said = await refuses(
      start({
        DATABASE_URL: 'mysql://somewhere/else',
        PORT: '99999',
        LOG_LEVEL: 'loud',
        STREAMSPACE_HEARTBEAT_INTERVAL_MS: '5',
        STREAMSPACE_ACK_TIMEOUT_MS: 'soon',
        STREAMSPACE_ADMIN_KEY: 'too-short',
        STREAMSPACE_PUBLIC_URL: 'nowhere',
        STREAMSPACE_STOP_TIMEOUT_MS: '-1',
      }),
      2,
    )
    for (const name of [
      'DATABASE_URL',
      'PORT',
      'LOG_LEVEL',
      'STREAMSPACE_HEARTBEAT_INTERVAL_MS',
      'STREAMSPACE_ACK_TIMEOUT_MS',
      'STREAMSPACE_ADMIN_KEY',
      'STREAMSPACE_PUBLIC_URL',
      'STREAMSPACE_STOP_TIMEOUT_MS',
    ])
      expect(said).to.include(name)
    expect(said).not.to.include('too-short')
  })

  it('an agent, too, says which settings it lacks', async () => {
    const said = await refuses(streamspace(here, ['agent', 'process'], { STREAMSPACE_MAX_SESSIONS: 'many' }), 2)
    expect(said).to.include('STREAMSPACE_AGENT_ID').and.to.include('STREAMSPACE_AGENT_TOKEN')
  })

  it('does not start on a database without its schema, and says what to do', async () => {
    const url = await emptyDatabase()
    expect(await refuses(start({ DATABASE_URL: url }), 1)).to.include('streamspace migrate')
  })

  it('starts on what streamspace migrate made, run from two places at once and once more', async () => {
    const url = await emptyDatabase()
    const migrations = [1, 2].map(() => streamspace(here, ['migrate'], { DATABASE_URL: url }))
    for (const migration of migrations) expect(await migration.end(30_000)).to.deep.equal({ code: 0, signal: null })
    const again = streamspace(here, ['migrate'], { DATABASE_URL: url })
    expect(await again.end(30_000)).to.deep.equal({ code: 0, signal: null })
    const control = await server(here, url)
    expect((await control.rest.get('/templates')).body.items).not.to.deep.equal([])
    control.program.signal('SIGTERM')
    await control.program.end()
  })

  it('does not start on a schema of another version, and says what to do', async () => {
    const fresh = await freshDatabase()
    here.finally(fresh.drop)
    const [row] = await query(fresh.url, 'SELECT max(version)::int AS version FROM schema_version')
    const version = Number(row?.version)
    await query(fresh.url, `UPDATE schema_version SET version = ${version + 1} WHERE version = ${version}`)
    expect(await refuses(start({ DATABASE_URL: fresh.url }), 1), 'newer').to.include('newer')
    const migration = streamspace(here, ['migrate'], { DATABASE_URL: fresh.url })
    expect(await refuses(migration, 1), 'migrate on newer').to.include('newer')
    await query(fresh.url, `DELETE FROM schema_version WHERE version = ${version + 1}`)
    expect(await refuses(start({ DATABASE_URL: fresh.url }), 1), 'older').to.include('streamspace migrate')
  })

  it('does not start on a port that is taken', async () => {
    const { port, holder } = await listenSomewhere()
    try {
      const said = await refuses(start({ DATABASE_URL: await migratedDatabase(here), PORT: `${port}` }), 1)
      expect(said).to.include(`${port}`).and.to.include('PORT')
    } finally {
      holder.close()
    }
  })

  it('npm start does not start in a data directory that another one uses, nor on a port that is taken', async () => {
    const used = await usedDataDir(here)
    const first = await dev(here, used)
    const second = streamspace(here, ['dev'], { STREAMSPACE_DATA_DIR: used, PORT: '0' })
    expect(await refuses(second, 1))
      .to.include(used)
      .and.to.include('STREAMSPACE_DATA_DIR')
    expect((await first.rest.get('/templates')).status, 'the first goes on').to.equal(200)
    first.program.signal('SIGTERM')
    expect(await first.program.end()).to.deep.equal({ code: 0, signal: null })

    const { port, holder } = await listenSomewhere()
    try {
      const third = streamspace(here, ['dev'], { STREAMSPACE_DATA_DIR: used, PORT: `${port}` })
      expect(await refuses(third, 1)).to.include(`${port}`)
    } finally {
      holder.close()
    }
  })

  it('waits for a database that is not there yet', async () => {
    const directory = join(await here.folder(), 'pg')
    const port = Number(await portToKeep())
    const cluster = await startEmbeddedPostgres({ dataDir: directory, port, onLog: () => {} })
    const { url } = cluster
    const migration = streamspace(here, ['migrate'], { DATABASE_URL: url })
    expect(await migration.end(30_000)).to.deep.equal({ code: 0, signal: null })
    await cluster.stop()
    const waiting = start({ DATABASE_URL: url, LOG_LEVEL: 'warn' })
    await waiting.told('waiting for the database')
    const again = await startEmbeddedPostgres({ dataDir: directory, port, onLog: () => {} })
    here.finally(again.stop)
    await waiting.told('listening')
    waiting.signal('SIGTERM')
    expect(await waiting.end()).to.deep.equal({ code: 0, signal: null })
  })

  it('gives up after half a minute without a database, and says where it looked, without the password', async () => {
    const waiting = start({ DATABASE_URL: hopelessUrl })
    await waiting.told('waiting for the database')
    waiting.signal('SIGINT')
    expect(await waiting.end(5_000), 'a Ctrl-C while it waits').to.deep.equal({ code: 0, signal: null })

    expect(await hopelessTook).to.be.within(29_000, 60_000)
    const said = await refuses(hopeless, 1)
    expect(said).to.include(new URL(hopelessUrl).host).and.not.to.include('opensesame')
    expect(hopeless.stdout()).to.include('waiting for the database').and.not.to.include('opensesame')
  })

  it('says that a database is there whose password is another', async () => {
    expect((await lockedOut.end(90_000)).code).to.equal(1)
    expect(lockedOut.stderr())
      .to.include('password authentication failed')
      .and.include('put the user and password that it knows into DATABASE_URL')
      .and.not.include('start PostgreSQL')
      .and.not.include('opensesame')
  })
})

describe('a server whose database goes away', function () {
  this.timeout(120_000)
  const here = scene('suite')

  it('says so, refuses what it cannot do, and goes on by itself when it is back', async () => {
    const dataDir = join(await here.folder(), 'pg')
    const port = Number(await portToKeep())
    let cluster = await startEmbeddedPostgres({ dataDir, port, onLog: () => {} })
    here.finally(() => cluster.stop())
    const migration = streamspace(here, ['migrate'], { DATABASE_URL: cluster.url })
    expect(await migration.end(30_000)).to.deep.equal({ code: 0, signal: null })
    const control = await server(here, cluster.url)
    const token = await enrol(control.rest, 'edge-1')
    const late = await enrol(control.rest, 'edge-2')
    await putTemplate(control.rest, idle)
    agent(here, { id: 'edge-1', token, url: control.url, dataDir: join(await here.folder(), 'agent') })
    const { id } = await control.rest.create({ template: 'idle' })
    await control.rest.until(id, 'running')
    const probe = async (path: string): Promise<number> => (await fetch(`${control.url}${path}`)).status
    expect([await probe('/healthz'), await probe('/readyz')]).to.deep.equal([200, 200])
    const before = (await control.rest.get('/agents/edge-1')).body.epoch

    await cluster.stop()
    await eventually(async () => expect(await probe('/readyz')).to.equal(503))
    expect(await probe('/healthz')).to.equal(200)
    for (const [method, path] of [
      ['POST', '/sessions'],
      ['POST', `/sessions/${id}/stop`],
      ['DELETE', `/sessions/${id}`],
      ['GET', `/sessions/${id}`],
      ['GET', '/sessions'],
      ['GET', '/audit/export'],
      ['GET', '/audit/export?format=csv'],
    ] as const) {
      const refused = await control.rest.ask(
        method,
        path,
        path === '/sessions' && method === 'POST' ? { body: { template: 'idle' } } : {},
      )
      expect(refused.status, `${method} ${path}`).to.equal(503)
      expect(refused.headers.get('content-type')).to.include('application/problem+json')
      expect(Number(refused.headers.get('retry-after'))).to.be.above(0)
      expect(refused.body.code).to.equal('unavailable')
    }
    const upgraded = await upgrade(control.url, { token: late })
    expect(upgraded.status).to.equal(503)
    expect(Number(upgraded.headers['retry-after'])).to.be.at.least(1)

    cluster = await startEmbeddedPostgres({ dataDir, port, onLog: () => {} })
    await eventually(async () => expect(await probe('/readyz')).to.equal(200))
    expect(await control.rest.session(id)).to.include({ status: 'running', generation: 1 })
    const { id: next } = await control.rest.create({ template: 'idle' })
    await control.rest.until(next, 'running')
    await control.rest.post(`/sessions/${id}/stop`)
    await control.rest.until(id, 'stopped')
    // Agents keep their sockets through it: this one was never welcomed anew.
    expect((await control.rest.get('/agents/edge-1')).body.epoch).to.equal(before)
    expect(control.program.ended()).to.equal(null)
  })

  it('that hangs is as good as gone: it says that it is not ready, and ends in order', async function () {
    if (process.platform !== 'linux') this.skip()
    const cluster = await startEmbeddedPostgres({ dataDir: join(await here.folder(), 'hangs'), onLog: () => {} })
    here.finally(() => cluster.stop())
    expect((await streamspace(here, ['migrate'], { DATABASE_URL: cluster.url }).end(30_000)).code).to.equal(0)
    const control = await server(here, cluster.url)
    await enrol(control.rest, 'edge-1')
    const children = await readFile(`/proc/${cluster.pid}/task/${cluster.pid}/children`, 'utf8')
    const all = [cluster.pid, ...children.trim().split(' ').map(Number)]
    const signalled = (signal: NodeJS.Signals): void => {
      for (const pid of all) process.kill(pid, signal)
    }
    signalled('SIGSTOP')
    try {
      const asked = performance.now()
      const ready = await fetch(`${control.url}/readyz`)
      const { code } = (await ready.json()) as { code: string }
      expect([ready.status, code]).to.deep.equal([503, 'not_ready'])
      expect(performance.now() - asked, 'milliseconds').to.be.below(10_000)
      expect((await fetch(`${control.url}/healthz`)).status).to.equal(200)
      control.program.signal('SIGTERM')
      expect(await control.program.end(15_000)).to.deep.equal({ code: 0, signal: null })
    } finally {
      signalled('SIGCONT')
    }
  })
})
