/** Quotas as an installation sets them and an org meets them, over the API and the command line. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import { needsPgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { type Answer, type Rest, rest } from './support/rest.ts'
import { root, scene } from './support/scene.ts'
import { ADMIN_KEY, migratedDatabase, type Server, server } from './support/streamspace.ts'

const CREATE = { template: 'hello-web' }
const none = { maxSessions: null, maxRunning: null, cpuMillis: null, memoryMib: null }

describe('a quota of an org', function () {
  this.timeout(180_000)
  const here = scene('each')

  /** Until the answer is no request to come again. */
  const answered = (ask: () => Promise<Answer>): Promise<Answer> =>
    eventually(async () => {
      const answer = await ask()
      expect(answer.status, JSON.stringify(answer.body)).not.to.equal(503)
      return answer
    })
  const set = (api: Rest, org: string, body: object, headers: { readonly [name: string]: string } = {}) =>
    api.ask('PUT', `/orgs/${org}/quota`, { body, headers })
  const keyFor = async (api: Rest, role: string, userId: string, orgId: string): Promise<string> =>
    (await api.post('/api-keys', { role, userId, orgId })).body.key

  /** Everybody's, and never there: sessions wait for it. */
  const withAgent = async (control: Server): Promise<Server> => {
    const { status } = await control.rest.post('/agents', { id: 'edge-1', platform: 'process', orgId: null })
    expect(status).to.equal(201)
    return control
  }

  const expectTen = async (admin: Rest, apis: readonly Rest[], creates: number): Promise<void> => {
    const answers = await Promise.all(
      Array.from({ length: creates }, (_, index) =>
        answered(() => (apis[index % apis.length] as Rest).post('/sessions', CREATE)),
      ),
    )
    const refused = answers.filter(({ status }) => status !== 201)
    expect(answers.length - refused.length).to.equal(10)
    for (const { status, body } of refused) {
      expect(status, JSON.stringify(body)).to.equal(409)
      expect(body).to.include({ code: 'quota_exceeded', quota: 'maxRunning', scope: 'org', name: 'acme' })
      expect(body).to.include({ limit: 10, used: 10, asked: 1 })
      expect(body.detail).to.include('acme').and.to.include('maxRunning 10').and.to.include('10 are used')
    }
    expect((await admin.get('/orgs/acme/usage')).body).to.include({ sessions: 10, running: 10 })
    expect((await (apis[0] as Rest).get('/sessions/summary')).body.total).to.equal(10)
  }

  it('of ten makes ten of a thousand, over two replicas', async () => {
    const database = await migratedDatabase(here)
    const [one, other] = [await withAgent(await server(here, database)), await server(here, database)]
    const key = await keyOf(database, 'operator', 'acme')
    expect((await set(one.rest, 'acme', { maxRunning: 10 })).status).to.equal(200)
    await expectTen(
      one.rest,
      [one, other].map(({ url }) => rest(url, key)),
      1_000,
    )
  })

  it('holds behind a transaction pooler, too', async function () {
    await needsPgBouncer.call(this)
    const database = await migratedDatabase(here)
    const pooler = await startPgBouncer({
      directory: join(await here.folder(), 'pooler'),
      databaseUrl: database,
      poolSize: 2,
    })
    here.finally(pooler.stop)
    const control = await server(here, pooler.url, {
      STREAMSPACE_DATABASE_POOLER: 'transaction',
      STREAMSPACE_DATABASE_DIRECT_URL: database,
    })
    await withAgent(control)
    const keys = [await keyOf(database, 'operator', 'acme'), await keyOf(database, 'operator', 'globex')]
    await set(control.rest, 'acme', { maxRunning: 10 })
    await set(control.rest, 'globex', { maxSessions: 1_000 })
    const [acme, globex] = keys.map((key) => rest(control.url, key)) as [Rest, Rest]
    const [, others] = await Promise.all([
      expectTen(control.rest, [acme], 150),
      Promise.all(Array.from({ length: 50 }, () => answered(() => globex.post('/sessions', CREATE)))),
    ])
    expect(new Set(others.map(({ status }) => status))).to.deep.equal(new Set([201]))
    expect((await control.rest.get('/orgs/globex/usage')).body).to.include({ sessions: 50, running: 50 })
  })

  it('is the installation’s to set, whole and as it was read, and its admin’s to read', async () => {
    const control = await server(here, await migratedDatabase(here))
    for (const id of ['acme', 'globex']) await control.rest.post('/orgs', { id })
    const admin = rest(control.url, await keyFor(control.rest, 'admin', 'ada', 'acme'))
    const before = await admin.get('/orgs/acme/quota')
    expect([before.status, before.body]).to.deep.equal([200, { ...none, perUser: none, perTemplate: {} }])
    expect((await set(admin, 'acme', {})).status).to.equal(403)
    expect((await admin.get('/orgs/globex/quota')).status).to.equal(404)
    expect((await set(admin, 'globex', {})).status).to.equal(404)
    expect((await set(control.rest, 'nowhere', {})).status).to.equal(404)

    const quota = { maxSessions: 5, perUser: { maxRunning: 1 }, perTemplate: { 'hello-web': { cpuMillis: 10_000 } } }
    const key = { 'idempotency-key': randomUUID() }
    const made = await set(control.rest, 'acme', quota, { ...key, 'if-match': before.headers.get('etag') as string })
    const shown = {
      ...none,
      maxSessions: 5,
      perUser: { ...none, maxRunning: 1 },
      perTemplate: { 'hello-web': { ...none, cpuMillis: 10_000 } },
    }
    expect([made.status, made.body]).to.deep.equal([200, shown])
    const again = await set(control.rest, 'acme', quota, { ...key, 'if-match': before.headers.get('etag') as string })
    expect([again.status, again.headers.get('idempotency-replayed'), again.body]).to.deep.equal([200, 'true', shown])
    expect((await set(control.rest, 'acme', {}, { 'if-match': before.headers.get('etag') as string })).status).to.equal(
      412,
    )
    const read = await admin.get('/orgs/acme/quota')
    expect([read.body, read.headers.get('etag')]).to.deep.equal([shown, made.headers.get('etag')])
    expect(
      (await admin.get('/orgs/acme/quota', { 'if-none-match': read.headers.get('etag') as string })).status,
    ).to.equal(304)
    // What was read can be sent back.
    expect(
      (await set(control.rest, 'acme', read.body, { 'if-match': read.headers.get('etag') as string })).status,
    ).to.equal(200)

    for (const [wrong, field] of [
      [{ maxSessions: -1 }, 'maxSessions'],
      [{ maxSessions: 1.5 }, 'maxSessions'],
      [{ cpuMillis: '7' }, 'cpuMillis'],
      [{ memoryMib: 2 ** 53 }, 'memoryMib'],
      [{ perUser: { maxPods: 1 } }, 'perUser.maxPods'],
      [{ perUser: 3 }, 'perUser'],
      [{ perTemplate: { 'Not a name': {} } }, 'perTemplate.Not a name'],
      [{ perTemplate: { 'hello-web': { maxRunning: [] } } }, 'perTemplate.hello-web.maxRunning'],
    ] as const) {
      const { status, body } = await set(control.rest, 'acme', wrong)
      expect(
        [status, body.errors?.map((error: { field: string }) => error.field)],
        JSON.stringify(wrong),
      ).to.deep.equal([400, [field]])
    }
    expect((await admin.get('/orgs/acme/quota')).body).to.deep.equal(shown)
  })

  it('is met by users where they are, and given back by what they stop', async () => {
    const control = await withAgent(await server(here, await migratedDatabase(here)))
    await control.rest.post('/orgs', { id: 'acme' })
    const as = async (user: string) => rest(control.url, await keyFor(control.rest, 'user', user, 'acme'))
    const [ada, ben] = [await as('ada'), await as('ben')]
    await set(control.rest, 'acme', { perUser: { maxRunning: 1 }, perTemplate: { 'hello-web': { maxSessions: 3 } } })
    const first = await ada.create(CREATE)
    const refused = await ada.post('/sessions', CREATE)
    expect(refused.status).to.equal(409)
    expect(refused.body).to.include({ scope: 'user', name: 'ada', quota: 'maxRunning', limit: 1, used: 1, asked: 1 })
    expect(refused.body.detail).to.include('"ada"').and.to.include('stop, hibernate or delete')
    await ben.create(CREATE)
    expect((await ada.post(`/sessions/${first.id}/stop`)).status).to.equal(202)
    const second = await ada.create(CREATE)
    const woken = await ada.post(`/sessions/${first.id}/wake`)
    expect([woken.status, woken.body.code, woken.body.name]).to.deep.equal([409, 'quota_exceeded', 'ada'])
    expect((await ada.session(first.id)).status).to.equal('stopped')
    const third = await ben.post('/sessions', CREATE)
    expect(third.body).to.include({ scope: 'user', name: 'ben' })
    await ada.ask('DELETE', `/sessions/${second.id}`)
    expect((await ada.post(`/sessions/${first.id}/start`)).status).to.equal(202)
    const usage = (await control.rest.get('/orgs/acme/usage?user=ada,eve')).body
    expect(usage.perUser.ada).to.include({ sessions: 1, running: 1 })
    expect(usage.perUser.eve).to.include({ sessions: 0, running: 0 })
    expect(usage.perUser).not.to.have.property('ben')
    expect(usage.perTemplate['hello-web']).to.include({ sessions: 2, running: 2 })
  })

  it('is kept to, to the last one, by servers that are killed', async () => {
    const database = await migratedDatabase(here)
    let control = await withAgent(await server(here, database))
    const key = await keyOf(database, 'operator', 'acme')
    await set(control.rest, 'acme', { maxSessions: 40 })
    for (let round = 0; round < 3; round += 1) {
      const api = rest(control.url, key)
      const some = Array.from({ length: 30 }, async () => {
        const { status, body } = await api.post('/sessions', CREATE)
        if (status === 201 && round < 2) await api.post(`/sessions/${body.id}/stop`)
      }).map((asked) => asked.catch(() => null))
      await Promise.race(some)
      control.program.signal('SIGKILL')
      await Promise.all(some)
      await control.program.end()
      control = await server(here, database)
      const { total, byStatus } = (await rest(control.url, key).get('/sessions/summary')).body
      const { sessions, running } = (await control.rest.get('/orgs/acme/usage')).body
      expect([sessions, running]).to.deep.equal([total, total - byStatus.stopped])
      expect(sessions).to.be.greaterThan(0).and.to.be.lessThanOrEqual(40)
    }
  })

  it('is shown and changed by the command line', async () => {
    const control = await server(here, await migratedDatabase(here))
    await control.rest.post('/orgs', { id: 'acme' })
    const run = async (...args: readonly string[]) => {
      const program = here.start({
        command: join(root, 'scripts/streamspace'),
        args: ['org', ...args],
        env: { STREAMSPACE_URL: control.url, STREAMSPACE_API_KEY: ADMIN_KEY },
      })
      const { code } = await program.end(30_000)
      return { code, stdout: program.stdout(), stderr: program.stderr() }
    }
    expect((await run('quota', 'acme', '--max-sessions', '20', '--memory-mib', '4096')).stdout).to.match(
      /the org +20 +- +- +4096/,
    )
    expect((await run('quota', 'acme', '--per-user', '--max-running', '3')).stdout).to.match(/each user +- +3 +- +-/)
    expect((await run('quota', 'acme', '--template', 'desk', '--max-running', '2')).stdout).to.match(
      /template desk +- +2/,
    )
    const shown = JSON.parse((await run('quota', 'acme', '--memory-mib', 'none', '--json')).stdout)
    expect(shown).to.deep.equal({
      ...none,
      maxSessions: 20,
      perUser: { ...none, maxRunning: 3 },
      perTemplate: { desk: { ...none, maxRunning: 2 } },
    })
    expect((await run('usage', 'acme')).stdout).to.match(/the org +0 +0 +0 +0/)
    expect((await run('quota', 'acme', '--per-user')).code).to.equal(2)
    expect((await run('quota', 'acme', '--per-user', '--template', 'desk', '--max-running', '1')).code).to.equal(2)
    expect((await run('quota', 'acme', '--max-running', 'many')).stderr).to.include('whole number')
    expect(JSON.parse((await run('quota', 'acme', '--clear', '--json')).stdout)).to.deep.equal({
      ...none,
      perUser: none,
      perTemplate: {},
    })
    expect((await run('quota', 'nowhere')).code).to.equal(1)
  })
})
