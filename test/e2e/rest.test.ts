/** ETags, conditions, pages and changes, over real HTTP; no agent is needed for any of it. */
import { expect } from 'chai'
import type { Json } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

describe('the REST API', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server

  before(async () => {
    control = await server(here, await migratedDatabase(here))
    // Enrolled and never seen: sessions wait for it.
    await enrol(control.rest, 'away')
  })

  const create = (more: object = {}): Promise<Json> => control.rest.create({ template: 'hello-web', ...more })

  it('answers a create with 201, where it is, and the session that waits', async () => {
    const { status, headers, body } = await control.rest.post('/sessions', { template: 'hello-web' })
    expect(status).to.equal(201)
    expect(headers.get('location')).to.equal(`/api/v1/sessions/${body.id}`)
    expect(body).to.include({ status: 'pending', statusReason: 'no_agent_online', name: 'hello-web', version: 1 })
    const { body: read } = await control.rest.ask('GET', headers.get('location') ?? '')
    expect(read).to.deep.equal(body)
  })

  it('a representation has an ETag, and is not sent again to who has it', async () => {
    const { id } = await create()
    const { headers } = await control.rest.get(`/sessions/${id}`)
    const etag = headers.get('etag') ?? ''
    expect(etag).to.match(/^"1-[0-9a-f]{8}"$/)
    for (const known of [etag, `"other", ${etag}`, `W/${etag}`, '*']) {
      const again = await control.rest.get(`/sessions/${id}`, { 'if-none-match': known })
      expect([again.status, again.body], known).to.deep.equal([304, ''])
      expect(again.headers.get('etag')).to.equal(etag)
    }
    expect((await control.rest.get(`/sessions/${id}`, { 'if-none-match': '"1-00000000"' })).status).to.equal(200)
  })

  it('If-Match lets a change through only on the version that was read', async () => {
    const { id } = await create()
    const patch = (ifMatch: string, name: string) =>
      control.rest.ask('PATCH', `/sessions/${id}`, { body: { name }, headers: { 'if-match': ifMatch } })
    const first = (await control.rest.get(`/sessions/${id}`)).headers.get('etag') ?? ''
    const changed = await patch(first, 'one')
    expect(changed.status).to.equal(200)
    expect(changed.body).to.include({ name: 'one', version: 2, generation: 1 })
    const stale = await patch(first, 'two')
    expect(stale.status).to.equal(412)
    expect(stale.body).to.include({ code: 'precondition_failed', version: 2 })
    const now = changed.headers.get('etag') ?? ''
    const touched = await control.rest.post(`/sessions/${id}/activity`, undefined, { 'if-match': now })
    expect([touched.status, (await control.rest.session(id)).version]).to.deep.equal([204, 2])
    for (const action of ['stop', 'start', 'activity']) {
      const { status } = await control.rest.post(`/sessions/${id}/${action}`, undefined, { 'if-match': first })
      expect(status, action).to.equal(412)
    }
    const { status } = await control.rest.ask('DELETE', `/sessions/${id}`, { headers: { 'if-match': first } })
    expect(status).to.equal(412)
    expect((await patch('*', 'three')).status).to.equal(200)
    expect((await patch(changed.headers.get('etag') ?? '', 'four')).status, 'three was version 3').to.equal(412)
    expect(await control.rest.session(id)).to.include({ name: 'three', version: 3 })
  })

  it('PATCH changes name, labels and timeouts and leaves the rest', async () => {
    const before = await create({ labels: { team: 'a', tier: 'x' }, idleTimeoutSeconds: 60 })
    const { body } = await control.rest.ask('PATCH', `/sessions/${before.id}`, {
      body: { labels: { team: 'b' }, maxDurationSeconds: 3600, idleTimeoutSeconds: null },
    })
    expect(body).to.deep.include({
      labels: { team: 'b' },
      idleTimeoutSeconds: null,
      maxDurationSeconds: 3600,
      version: 2,
    })
    const unlike = Object.keys(before).filter((field) => JSON.stringify(before[field]) !== JSON.stringify(body[field]))
    expect(unlike.sort()).to.deep.equal(['idleTimeoutSeconds', 'labels', 'maxDurationSeconds', 'updatedAt', 'version'])
  })

  it('what is asked already is accepted and changes nothing', async () => {
    const { id } = await create()
    const before = await control.rest.session(id)
    const { status, body } = await control.rest.post(`/sessions/${id}/start`)
    expect([status, body]).to.deep.equal([202, before])
    await control.rest.post(`/sessions/${id}/stop`)
    const stopped = await control.rest.session(id)
    expect(stopped).to.include({ status: 'stopped', generation: 2, observedGeneration: 2, version: 2 })
    expect((await control.rest.post(`/sessions/${id}/stop`)).body).to.deep.equal(stopped)
    expect((await control.rest.get(`/sessions/${id}/commands`)).body.items).to.deep.equal([])
  })

  it('a list is paged, sorted and filtered; no page repeats or skips', async () => {
    const ids: string[] = []
    for (let count = 0; count < 7; count += 1)
      ids.push((await create({ name: `paged ${count}`, labels: { suite: 'paging', odd: String(count % 2) } })).id)
    const of = async (query: string): Promise<string[]> =>
      (await control.rest.all(`/sessions?label=suite%3Dpaging&${query}`)).map(({ id }) => id)
    for (const limit of [1, 3, 7, 500]) {
      expect(await of(`limit=${limit}`), `by ${limit}`).to.deep.equal([...ids].reverse())
      expect(await of(`limit=${limit}&sort=createdAt`), `by ${limit}, oldest first`).to.deep.equal(ids)
      expect(await of(`limit=${limit}&sort=name`), `by ${limit}, by name`).to.deep.equal(ids)
    }
    const first = await control.rest.get('/sessions?label=suite%3Dpaging&limit=3')
    expect(first.body.items).to.have.lengthOf(3)
    expect(first.body.nextCursor).to.be.a('string')
    const cursor = encodeURIComponent(first.body.nextCursor)
    await create({ name: 'meanwhile', labels: { suite: 'paging' } })
    const second = await control.rest.get(`/sessions?label=suite%3Dpaging&limit=3&cursor=${cursor}`)
    expect(second.body.items.map(({ id }: Json) => id)).to.deep.equal(ids.slice(1, 4).reverse())

    expect(await of('label=odd%3D1&sort=createdAt')).to.deep.equal([ids[1], ids[3], ids[5]])
    expect(await of('q=paged%204')).to.deep.equal([ids[4]])
    expect(await of('status=running,failed')).to.deep.equal([])
    expect((await of('status=pending&user=admin&template=hello-web')).length).to.equal(8)
    const { body } = await control.rest.get('/sessions/summary?label=suite%3Dpaging')
    expect(body.total).to.equal(8)
    expect(body.byStatus).to.include({ pending: 8, running: 0 })
  })

  it('a template is a new version when it is another, and a session keeps the one it began with', async () => {
    const put = (description: string) =>
      control.rest.post('/templates', {
        name: 'versioned',
        displayName: 'Versioned',
        description,
        spec: { process: { command: ['sleep', '1'] } },
      })
    const first = await put('one')
    expect([first.status, first.body.version]).to.deep.equal([201, 1])
    const same = await put('one')
    expect([same.status, same.body.version]).to.deep.equal([200, 1])
    const { id } = await create({ template: 'versioned' })
    const second = await put('two')
    expect([second.status, second.body.version]).to.deep.equal([201, 2])
    expect((await control.rest.session(id)).template).to.deep.equal({ name: 'versioned', version: 1 })
    expect((await create({ template: 'versioned' })).template.version).to.equal(2)
    expect((await create({ template: 'versioned', templateVersion: 1 })).template.version).to.equal(1)
    const { body } = await control.rest.get('/templates/versioned/versions')
    expect(body.items.map(({ version }: Json) => version)).to.deep.equal([2, 1])
    expect((await control.rest.ask('DELETE', '/templates/versioned')).status).to.equal(204)
    expect((await control.rest.post('/sessions', { template: 'versioned' })).body.code).to.equal('unknown_template')
    expect((await control.rest.session(id)).template.name).to.equal('versioned')
  })

  it('secret parameters are never shown', async () => {
    await control.rest.post('/templates', {
      name: 'secretive',
      displayName: 'Secretive',
      parameters: [{ name: 'password', type: 'secret', required: true, env: 'PASSWORD' }],
      spec: { process: { command: ['sleep', '1'] } },
    })
    const { id } = await create({ template: 'secretive', parameters: { password: 'open sesame' } })
    expect((await control.rest.session(id)).parameters).to.deep.equal({ password: null })
    for (const path of [
      `/sessions/${id}`,
      `/sessions/${id}/events`,
      `/sessions/${id}/commands`,
      '/sessions',
      '/commands',
    ])
      expect(JSON.stringify((await control.rest.get(path)).body), path).not.to.include('sesame')
  })
})
