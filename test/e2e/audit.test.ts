import { readFile, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect } from 'chai'
import pg from 'pg'
import { eventually } from './support/eventually.ts'
import { BY_THE_INSTALLATION } from './support/installation-entry.ts'
import { keyOf } from './support/keys.ts'
import { type Answer, type Json, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server, streamspace } from './support/streamspace.ts'

const asked = (api: Rest, query = ''): Promise<Json[]> => api.all(`/audit${query === '' ? '?' : `?${query}&`}limit=500`)

const query = async (databaseUrl: string, text: string, values: readonly unknown[] = []): Promise<Json[]> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    return (await client.query(text, [...values])).rows
  } finally {
    await client.end()
  }
}

describe('the audit trail', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('says who did what, from where, how it was and became, and what was refused', async () => {
    const database = await migratedDatabase(here)
    const { rest: api, url } = await server(here, database)
    const viewer = rest(url, await keyOf(database, 'viewer'))
    await enrol(api, 'edge-0')
    const headers = { 'x-request-id': 'the-first', 'user-agent': 'tests/1', 'x-forwarded-for': '203.0.113.9' }
    const created = await api.post(
      '/sessions',
      { template: 'hello-web', name: 'first', env: { PASSWORD: 'not-told' } },
      headers,
    )
    expect(created.status).to.equal(201)
    const { id } = created.body
    await api.ask('PATCH', `/sessions/${id}`, { body: { name: 'second' } })
    await enrol(api, 'edge-1')
    await api.post('/agents/edge-1/cordon')
    await api.ask('DELETE', '/agents/edge-1')
    await viewer.post(`/sessions/${id}/stop`)
    await api.post(`/sessions/${id}/hibernate`)
    await viewer.get('/api-keys')
    await rest(url, `ssk_${'x'.repeat(40)}`).get('/sessions')
    await viewer.get('/sessions')

    const entries = await eventually(async () => {
      const found = await asked(api)
      expect(found.map(({ action, outcome }) => `${action} ${outcome}`)).to.have.members([
        'createSession succeeded',
        'changeSession succeeded',
        'enrolAgent succeeded',
        'enrolAgent succeeded',
        'cordonAgent succeeded',
        'removeAgent succeeded',
        'stopSession refused',
        'hibernateSession refused',
        'listApiKeys refused',
        'listSessions refused',
      ])
      return new Map(found.map((entry) => [entry.action, entry]))
    })
    const [installation] = await query(database, `SELECT id, user_id FROM api_keys WHERE role = 'installation'`)
    expect(entries.get('createSession')).to.deep.include({
      orgId: 'default',
      userId: installation.user_id,
      keyId: installation.id,
      role: 'installation',
      resource: 'session',
      resourceId: id,
      status: 201,
      code: null,
      requestId: 'the-first',
      userAgent: 'tests/1',
      ip: '127.0.0.1',
      before: null,
    })
    expect(entries.get('createSession').after).to.deep.include({ name: 'first', env: { PASSWORD: '[redacted]' } })
    expect(entries.get('changeSession')).to.deep.include({ before: { name: 'first' }, after: { name: 'second' } })
    expect(entries.get('cordonAgent')).to.deep.include({ before: { cordoned: false }, after: { cordoned: true } })
    expect(entries.get('removeAgent').before).to.include({ id: 'edge-1', cordoned: true })
    expect(entries.get('removeAgent').after).to.equal(null)
    expect(entries.get('enrolAgent').after.token).to.equal('[redacted]')
    expect(entries.get('stopSession')).to.include({ status: 403, code: 'forbidden', resourceId: id, role: 'viewer' })
    expect(entries.get('hibernateSession')).to.include({ status: 409, code: 'transition_refused' })
    expect(entries.get('listSessions')).to.include({ orgId: null, userId: null, status: 401, code: 'unauthorized' })
  })

  it('tells of a batch as a whole, and of each session as if it had been asked for alone', async () => {
    const database = await migratedDatabase(here)
    const { rest: api } = await server(here, database)
    await enrol(api, 'edge-0')
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) ids.push((await api.create({ template: 'hello-web' })).id)
    const [nobodys] = ['00000000-0000-4000-8000-000000000000']
    const headers = { 'x-request-id': 'the-batch', 'idempotency-key': 'once' }
    for (let sent = 0; sent < 2; sent += 1) {
      const { status } = await api.post('/sessions/batch', { action: 'stop', ids: [...ids, nobodys] }, headers)
      expect(status).to.equal(200)
    }
    expect(await asked(api, 'action=batchSessions')).to.have.length(1)
    const [whole] = await asked(api, 'action=batchSessions')
    expect(whole).to.deep.include({ outcome: 'succeeded', resourceId: null, requestId: 'the-batch', before: null })
    expect(whole.after).to.deep.equal({ action: 'stop', sessions: 4, refused: 1 })
    const each = await asked(api, 'action=stopSession')
    expect(each.map(({ resourceId }) => resourceId)).to.have.members([...ids, nobodys])
    for (const entry of each) expect(entry.requestId).to.equal('the-batch')
    const [one] = await asked(api, `action=stopSession&resourceId=${ids[0]}`)
    expect(one).to.deep.include({ outcome: 'succeeded', status: 202, code: null })
    expect(one.before).to.include({ desiredState: 'running', status: 'pending' })
    expect(one.after).to.include({ desiredState: 'stopped', status: 'stopped' })
    const [missing] = await asked(api, `resourceId=${nobodys}`)
    expect(missing).to.deep.include({ outcome: 'refused', status: 404, code: 'not_found', before: null, after: null })
  })

  it('of one org is nothing of another’s, and nobody’s is the installation’s', async () => {
    const database = await migratedDatabase(here)
    const { rest: api, url } = await server(here, database)
    const [acme, globex] = [await keyOf(database, 'admin', 'acme'), await keyOf(database, 'admin', 'globex')]
    await rest(url, acme).post('/api-keys', { role: 'viewer', name: 'of acme' })
    await rest(url, `ssk_${'y'.repeat(40)}`).get('/sessions')
    await eventually(async () => expect(await asked(api, 'outcome=refused')).to.have.length(1))
    expect((await asked(rest(url, acme))).map(({ action }) => action)).to.deep.equal(['createApiKey'])
    expect(await asked(rest(url, globex))).to.deep.equal([])
    expect((await rest(url, await keyOf(database, 'operator', 'acme')).get('/audit')).status).to.equal(403)
    const page = await rest(url, acme).get('/audit?limit=1')
    expect(page.body.nextCursor).to.equal(null)
  })

  it('tells whose key it was that may not act in another org, in the trail of its own', async () => {
    const database = await migratedDatabase(here)
    const { rest: api, url } = await server(here, database)
    const [acme, globex] = [await keyOf(database, 'admin', 'acme'), await keyOf(database, 'admin', 'globex')]
    const inOrg = (key: string, org: string): Promise<Answer> =>
      rest(url, key).ask('DELETE', '/agents/theirs', { headers: { 'streamspace-org': org } })
    expect((await inOrg(acme, 'globex')).status).to.equal(403)
    expect((await inOrg(api.key, 'nowhere')).status).to.equal(404)
    const entryOf = (of: Rest): Promise<Json> =>
      eventually(async () => {
        const [entry] = await asked(of)
        expect(entry).to.include({ action: 'removeAgent', resourceId: 'theirs', outcome: 'refused' })
        return entry
      })
    const [key] = await query(database, `SELECT id, user_id FROM api_keys WHERE org_id = 'acme'`)
    expect(await entryOf(rest(url, acme))).to.include({
      orgId: 'acme',
      userId: key.user_id,
      keyId: key.id,
      role: 'admin',
      status: 403,
    })
    expect(await entryOf(api)).to.include({ orgId: 'default', role: 'installation', status: 404 })
    expect(await asked(rest(url, globex))).to.deep.equal([])
    expect(await asked(api)).to.have.length(1)
  })

  it('has nothing that opens a session', async () => {
    const database = await migratedDatabase(here)
    const { rest: api, url } = await server(here, database)
    agent(here, { id: 'edge-0', token: await enrol(api, 'edge-0'), url, dataDir: join(await here.folder(), 'agent') })
    const { id } = await api.create({ template: 'hello-web' })
    const { endpoint } = await api.until(id, 'running')
    const token = new URL(endpoint.url).searchParams.get('token') ?? ''
    expect(token).to.have.length.above(20)
    await api.post(`/sessions/${id}/restart`)
    await api.ask('DELETE', `/sessions/${id}?force=true`)
    const [gone, restarted] = await asked(api, `resourceId=${id}`)
    expect(restarted).to.include({ action: 'restartSession' })
    expect(restarted.before.endpoint.url).to.equal(endpoint.url.replace(token, '[redacted]'))
    expect(gone).to.include({ action: 'deleteSession', outcome: 'succeeded' })
    const written = await query(database, 'SELECT to_jsonb(a)::text AS entry FROM audit_events a')
    expect(JSON.stringify([written, await asked(api)])).not.to.include(token)
  })

  it('tells an org what the installation did in it, and neither who that is nor what it did in others', async () => {
    const database = await migratedDatabase(here)
    const { rest: api, url } = await server(here, database)
    const done = async (answer: Promise<Answer>, status: number): Promise<Json> => {
      const { status: is, body } = await answer
      expect(is, JSON.stringify(body)).to.equal(status)
      return body
    }
    for (const id of ['acme', 'globex']) await done(api.post('/orgs', { id }), 201)
    await done(api.post('/api-keys', { role: 'user', name: 'made for them', orgId: 'acme' }), 201)
    await done(api.ask('PUT', '/orgs/acme/quota', { body: { maxSessions: 5 } }), 200)
    await done(
      api.ask('PUT', '/orgs/acme/quota', { body: { maxSessions: 6 }, headers: { 'x-request-id': 'six' } }),
      200,
    )
    await done(api.post('/agents', { id: 'edge-of-acme', platform: 'process', orgId: 'acme' }), 201)
    const template = { name: 'theirs', displayName: 'Theirs', spec: { process: { command: ['true'] } } }
    await done(api.post('/templates', { ...template, orgId: 'acme' }), 201)
    await done(api.post('/templates', { ...template, name: 'everybodys', orgId: null }), 201)
    await done(api.post('/agents', { id: 'shared', platform: 'process', orgId: null }), 201)
    // Of which the org that it happens to act in is told nothing.
    await done(api.post('/api-keys', { role: 'viewer', orgId: 'acme' }, { 'streamspace-org': 'globex' }), 201)
    await done(api.ask('DELETE', '/orgs/acme', { headers: { 'streamspace-org': 'globex', 'if-match': '"999"' } }), 412)
    await eventually(async () =>
      expect(await asked(api)).to.satisfy((own: readonly Json[]) =>
        own.some(({ action, outcome }) => action === 'deleteOrg' && outcome === 'refused'),
      ),
    )
    // In both orgs sessions are lost with a shared agent.
    const lost: { [org: string]: string } = {}
    for (const org of ['acme', 'globex']) {
      const { id } = await done(
        api.post(
          '/sessions',
          { template: 'hello-web', name: `of ${org}`, agentId: 'shared' },
          { 'streamspace-org': org },
        ),
        201,
      )
      lost[org] = id
      await query(database, `UPDATE sessions SET agent_id = 'shared', status = 'running' WHERE id = $1`, [id])
    }
    await done(api.ask('DELETE', '/agents/shared?force=true', { headers: { 'streamspace-org': 'globex' } }), 200)

    const [acme, globex] = [await keyOf(database, 'admin', 'acme'), await keyOf(database, 'admin', 'globex')]
    const theirs = (await asked(rest(url, acme))).filter(({ ip }) => ip === '').reverse()
    expect(theirs.map(({ action, resourceId }) => `${action} ${resourceId}`)).to.deep.equal([
      'createOrg acme',
      `createApiKey ${theirs[1]?.resourceId}`,
      'setQuota acme',
      'setQuota acme',
      'enrolAgent edge-of-acme',
      'putTemplate theirs',
      `createApiKey ${theirs[6]?.resourceId}`,
      'removeAgent shared',
    ])
    for (const entry of theirs)
      expect(entry).to.deep.include({
        orgId: 'acme',
        ...BY_THE_INSTALLATION,
      })
    expect(theirs[1].after).to.deep.include({ orgId: 'acme', name: 'made for them', key: '[redacted]' })
    expect(theirs[3]).to.deep.include({ requestId: 'six', before: { maxSessions: 5 }, after: { maxSessions: 6 } })
    expect(theirs[7]).to.deep.include({ before: null, after: { lost: 1, sessionIds: [lost.acme] } })

    const ofGlobex = await asked(rest(url, globex))
    expect(ofGlobex.map(({ action }) => action)).to.have.members(['createOrg', 'createSession', 'removeAgent'])
    expect(JSON.stringify(ofGlobex)).not.to.include('acme')
    expect(ofGlobex.find(({ action }) => action === 'removeAgent').after).to.deep.equal({
      lost: 1,
      sessionIds: [lost.globex],
    })

    // Who it was the installation knows, wherever it was done; once each.
    const [key] = await query(database, `SELECT id, user_id FROM api_keys WHERE role = 'installation'`)
    const own = await asked(api)
    for (const action of ['createOrg', 'createApiKey', 'setQuota', 'enrolAgent', 'putTemplate']) {
      const entries = own.filter((entry) => entry.action === action)
      expect(entries, action).to.have.length(2)
      for (const entry of entries)
        expect(entry).to.deep.include({ orgId: 'default', userId: key.user_id, keyId: key.id, ip: '127.0.0.1' })
    }
    expect(own.filter(({ action }) => action === 'removeAgent')).to.have.length(1)

    await done(api.post('/orgs', { id: 'short-lived' }), 201)
    await done(api.ask('DELETE', '/orgs/short-lived'), 204)
    const left = await query(
      database,
      `SELECT action, before FROM audit_events WHERE org_id = 'short-lived' ORDER BY id`,
    )
    expect(left.map(({ action }) => action)).to.deep.equal(['createOrg', 'deleteOrg'])
    expect(left[1].before).to.include({ id: 'short-lived' })
  })

  it('has one entry for each session there is, however often the server is killed', async () => {
    const database = await migratedDatabase(here)
    let control: Server = await server(here, database)
    await enrol(control.rest, 'edge-1')
    for (let round = 0; round < 3; round += 1) {
      const some = Array.from({ length: 60 }, (_, index) =>
        control.rest
          .post('/sessions', { template: 'hello-web', name: `round ${round} number ${index}` })
          .catch(() => null),
      )
      await Promise.race(some)
      control.program.signal('SIGKILL')
      await Promise.all(some)
      await control.program.end()
      control = await server(here, database)
    }
    const sessions = await query(database, 'SELECT id::text FROM sessions ORDER BY 1')
    const entries = await query(
      database,
      `SELECT resource_id AS id FROM audit_events WHERE action = 'createSession' ORDER BY 1`,
    )
    expect(sessions.length).to.be.greaterThan(0)
    expect(entries).to.deep.equal(sessions)
  })

  it('is exported as it is read, and is read no further when nobody reads it', async () => {
    const database = await migratedDatabase(here)
    // All of it would be some hundred megabytes of objects: a server that held it would be ended by its own limit.
    // With little room for what is new, so that what it grows by is what it holds, and not what it has not thrown away yet.
    const {
      rest: api,
      url,
      program,
    } = await server(here, database, {
      NODE_OPTIONS: '--max-old-space-size=96 --max-semi-space-size=2',
    })
    await query(
      database,
      `INSERT INTO audit_events (org_id, at, user_id, role, action, resource, resource_id, outcome, status, request_id, ip, user_agent, after)
       SELECT 'default', now() - n * interval '1 second', 'ada', 'admin', 'createSession', 'session', 's-' || n, 'succeeded', 201,
              'request', '203.0.113.9', '=HYPERLINK("http://evil")', jsonb_build_object('name', repeat('x', 500))
         FROM generate_series(1, 100000) n`,
    )
    const rss = async (): Promise<number> =>
      Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${program.pid}/status`, 'utf8').catch(() => 'VmRSS: 0'))?.[1])
    const before = await rss()
    let most = before
    const authorization = { authorization: `Bearer ${api.key}` }
    const response = await fetch(`${url}/api/v1/audit/export?format=csv`, { headers: authorization })
    expect(response.headers.get('content-type')).to.include('text/csv')
    expect(response.headers.get('content-disposition')).to.include('audit.csv')
    let lines = 0
    let head = ''
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      const text = Buffer.from(chunk).toString()
      if (head.length < 2_000) head += text.slice(0, 2_000)
      lines += text.split('\r\n').length - 1
      if (lines % 10_000 < 100) most = Math.max(most, await rss())
    }
    expect(lines).to.equal(100_001)
    expect(head)
      .to.match(/^id,at,orgId,/)
      .and.include(`"'=HYPERLINK(""http://evil"")"`)
    // The answer itself has some 80 MB.
    console.log(`      a server that exports grew by ${Math.round((most - before) / 1_024)} MiB`)
    expect(most - before, 'KiB').to.be.below(150_000)

    // Somebody reads a little and stops, and somebody goes away.
    const statements = async (): Promise<number> =>
      (
        await query(
          database,
          `SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int AS n FROM pg_stat_all_tables WHERE relname = 'audit_events'`,
        )
      )[0].n
    const opened = await new Promise<import('node:http').IncomingMessage>((resolve, reject) =>
      request(`${url}/api/v1/audit/export?format=ndjson`, { headers: authorization, agent: false }, resolve)
        .on('error', reject)
        .end(),
    )
    opened.pause()
    let read = { rows: -1, at: 0 }
    await eventually(async () => {
      const rows = await statements()
      if (rows !== read.rows) read = { rows, at: performance.now() }
      // PostgreSQL counts what was read a second later, or two.
      expect(performance.now() - read.at, 'it reads on').to.be.above(3_000)
    })
    opened.destroy()
    expect((await api.get('/audit?limit=1')).status).to.equal(200)
    const out = join(await here.folder(), 'audit.ndjson')
    const exported = streamspace(here, ['audit', 'export', '--resource-id', 's-7,s-8', '--output', out], {
      STREAMSPACE_URL: url,
      STREAMSPACE_API_KEY: api.key,
    })
    expect((await exported.end(30_000)).code, exported.stderr()).to.equal(0)
    expect((await stat(out)).mode & 0o777).to.equal(0o600)
    const written = (await readFile(out, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(written.map(({ resourceId }) => resourceId)).to.deep.equal(['s-8', 's-7'])
    const listed = streamspace(here, ['audit', 'list', '--actor', 'ada', '--limit', '2'], {
      STREAMSPACE_URL: url,
      STREAMSPACE_API_KEY: api.key,
    })
    expect((await listed.end(30_000)).code).to.equal(0)
    expect(listed.stdout()).to.include('createSession').and.include('s-1 ')
  })
})
