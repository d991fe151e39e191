/** Webhooks from outside: a server, a real receiver, signatures judged by another implementation. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { type Receiver, receiver, verify } from '../support/webhook-receiver.ts'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { type Json, type Rest, rest } from './support/rest.ts'
import { type Environment, scene } from './support/scene.ts'
import { migratedDatabase, type Server, server } from './support/streamspace.ts'

const QUICK: Environment = {
  STREAMSPACE_WEBHOOK_ALLOW_PRIVATE: '127.0.0.0/8',
  STREAMSPACE_WEBHOOK_RETRY_SECONDS: '1',
  STREAMSPACE_WEBHOOK_ATTEMPTS: '3',
  // Nothing of these tests lasts as long: a receiver, which is this process, that had to wait for its turn must not be sent the same again.
  STREAMSPACE_WEBHOOK_TIMEOUT_MS: '30000',
  STREAMSPACE_WEBHOOK_LIMIT_PER_ORG: '10',
}

describe('webhooks', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let databaseUrl: string
  let control: Server

  before(async () => {
    databaseUrl = await migratedDatabase(here)
    control = await server(here, databaseUrl, QUICK)
    // Sessions wait for it, and it never comes.
    await control.rest.post('/agents', { id: 'never-1', platform: 'process', orgId: null })
  })

  const receiving = async (...how: Parameters<typeof receiver>): Promise<Receiver> => {
    const made = await receiver(...how)
    here.finally(made.close)
    return made
  }
  /** An org of its own, so that other tests' events are not in it. */
  const admin = async (): Promise<Rest> =>
    rest(control.url, await keyOf(databaseUrl, 'admin', `o-${randomUUID().slice(0, 8)}`))

  const hook = async (api: Rest, url: string, more: object = {}): Promise<Json> => {
    const { status, body } = await api.post('/webhooks', { url, events: ['*'], ...more })
    expect(status, JSON.stringify(body)).to.equal(201)
    return body
  }
  const deliveries = (api: Rest, id: string, status: string): Promise<Json[]> =>
    api.all(`/webhooks/${id}/deliveries?status=${status}`)

  it('tell of each event once, as /events shows it, signed as Standard Webhooks has it', async () => {
    const api = await admin()
    const there = await receiving()
    const { id, secret, ...shown } = await hook(api, there.url)
    expect(shown).not.to.have.property('previousSecret')
    const session = await api.create({ template: 'hello-web', labels: { team: 'web' } })
    await api.post(`/sessions/${session.id}/stop`)
    await api.ask('DELETE', `/sessions/${session.id}`)
    const events = await eventually(async () => {
      const told = there.messages.map(({ body }) => body.type)
      expect(told).to.include.members(['created', 'deleted'])
      return there.messages
    })
    for (const message of events) {
      verify(secret, message)
      expect(message.headers['content-type']).to.equal('application/json')
      expect(message.body).to.have.all.keys('id', 'sessionId', 'type', 'generation', 'at', 'actor', 'data')
      expect(message.body.sessionId).to.equal(session.id)
    }
    const done = await eventually(async () => {
      const list = await deliveries(api, id, 'delivered')
      expect(list).to.have.length(events.length)
      return list
    })
    expect(new Set(done.map((one) => one.id))).to.deep.equal(new Set(events.map((one) => one.id)))
    expect(new Set(events.map(({ body }) => body.id)).size).to.equal(events.length)
    expect(done[0]).to.include({
      webhookId: id,
      sessionId: session.id,
      attempts: 1,
      responseStatus: 204,
      lastError: null,
    })
  })

  it('ask for types of events and labels of sessions', async () => {
    const api = await admin()
    const [deleted, web] = [await receiving(), await receiving()]
    await hook(api, deleted.url, { events: ['deleted'] })
    await hook(api, web.url, { labels: { team: 'web' } })
    for (const team of ['web', 'ops', 'web']) {
      const { id } = await api.create({ template: 'hello-web', labels: { team } })
      await api.ask('DELETE', `/sessions/${id}`)
    }
    await eventually(() => {
      expect(deleted.messages.map(({ body }) => body.type)).to.deep.equal(['deleted', 'deleted', 'deleted'])
      expect(web.messages.filter(({ body }) => body.type === 'deleted')).to.have.length(2)
    })
  })

  it('are retried until they are answered with a 2xx; one that never is dies, is listed, and can be sent again', async () => {
    const api = await admin()
    const there = await receiving((_, count) => (count === 1 ? 500 : 204))
    const { id, secret } = await hook(api, there.url, { events: ['created'] })
    await api.create({ template: 'hello-web' })
    await eventually(() => expect(there.messages).to.have.length(2))
    const [first, second] = there.messages
    expect(second?.id).to.equal(first?.id)
    expect(second?.text).to.equal(first?.text)

    there.answers(() => ({ status: 302, location: `${there.url}/elsewhere` }))
    await api.create({ template: 'hello-web' })
    const dead = await eventually(async () => {
      const [one] = await deliveries(api, id, 'dead')
      expect(one).not.to.equal(undefined)
      return one
    })
    expect(dead).to.include({ attempts: 3, responseStatus: 302, lastError: 'answered 302: redirects are not followed' })
    expect(there.messages).to.have.length(5)

    there.answers(() => 200)
    const path = `/webhooks/${id}/deliveries/${dead.id}/redrive`
    const redriven = await api.post(path)
    expect(redriven.status).to.equal(202)
    expect(redriven.body).to.include({ id: dead.id, status: 'pending', attempts: 0 })
    await eventually(() => expect(there.messages).to.have.length(6))
    expect(there.messages[5]?.id).to.equal(dead.id)
    verify(secret, there.messages[5] as never)
    // It has arrived before the server has heard that, and written it down.
    await eventually(async () => {
      expect((await deliveries(api, id, 'delivered')).map((one) => one.id)).to.include(dead.id)
    })
    expect(await deliveries(api, id, 'dead')).to.deep.equal([])
    const again = await api.post(path)
    expect(again.status).to.equal(409)
    expect(again.body).to.include({ code: 'delivery_not_redrivable', state: 'delivered' })
  })

  it('have signatures by both secrets while a rotation lasts', async () => {
    const api = await admin()
    const there = await receiving()
    const { id, secret: old } = await hook(api, there.url, { events: ['created'] })
    const rotated = await api.post(`/webhooks/${id}/rotate`)
    expect(rotated.status).to.equal(200)
    const { secret } = rotated.body
    expect(secret)
      .to.match(/^whsec_/)
      .and.not.equal(old)
    expect(Date.parse(rotated.body.previousSecretUntil)).to.be.greaterThan(Date.now())
    await api.create({ template: 'hello-web' })
    await eventually(() => expect(there.messages).to.have.length(1))
    for (const each of [old, secret]) verify(each, there.messages[0] as never)

    const { body: last } = await api.post(`/webhooks/${id}/rotate`, { overlapSeconds: 0 })
    expect(last.previousSecretUntil).to.equal(null)
    await api.create({ template: 'hello-web' })
    await eventually(() => expect(there.messages).to.have.length(2))
    verify(last.secret, there.messages[1] as never)
    for (const each of [old, secret]) expect(() => verify(each, there.messages[1] as never)).to.throw()
  })

  it('do not wait for a receiver that takes its time', async () => {
    const api = await admin()
    const [slow, quick] = [await receiving(() => null), await receiving()]
    await hook(api, slow.url, { events: ['created'] })
    await hook(api, quick.url, { events: ['created'] })
    await Promise.all(Array.from({ length: 30 }, () => api.create({ template: 'hello-web' })))
    await eventually(() => expect(quick.messages).to.have.length(30), { within: 10_000 })
    expect(slow.open().most).to.be.at.most(4)
  })

  it('end where the receiver says that it is gone, and begin again where an admin says so', async () => {
    const api = await admin()
    const [there, onlooker] = [await receiving(() => 410), await receiving()]
    const { id } = await hook(api, there.url, { events: ['created'] })
    await hook(api, onlooker.url, { events: ['created'] })
    await api.create({ template: 'hello-web' })
    await eventually(async () => {
      const { body } = await api.get(`/webhooks/${id}`)
      expect(body).to.include({ status: 'disabled', statusReason: 'gone' })
    })
    const [dead] = await deliveries(api, id, 'dead')
    const refused = await api.post(`/webhooks/${id}/deliveries/${dead.id}/redrive`)
    expect([refused.status, refused.body.code]).to.deep.equal([409, 'webhook_disabled'])
    await api.create({ template: 'hello-web' })
    // Each event is read once, for all webhooks: what the other one has been sent is over for the one that is disabled, and never sent.
    await eventually(() => expect(onlooker.messages).to.have.length(2))
    there.answers(() => 200)
    const enabled = await api.ask('PATCH', `/webhooks/${id}`, { body: { status: 'active' } })
    expect(enabled.body).to.include({ status: 'active', statusReason: null })
    expect((await api.post(`/webhooks/${id}/deliveries/${dead.id}/redrive`)).status).to.equal(202)
    await eventually(() => expect(there.messages.map((message) => message.id)).to.deep.equal([dead.id, dead.id]))
  })

  it('are an org’s own: another one’s are as if they were not there', async () => {
    const [ours, theirs] = [await admin(), await admin()]
    const there = await receiving()
    const { id } = await hook(theirs, there.url)
    await ours.create({ template: 'hello-web' })
    await theirs.create({ template: 'hello-web' })
    await eventually(() => expect(there.messages.length).to.be.greaterThan(0))
    const own = new Set((await theirs.all('/sessions')).map((session) => session.id))
    for (const { body } of there.messages) expect(own.has(body.sessionId)).to.equal(true)
    const [delivery] = await eventually(async () => {
      const list = await theirs.all(`/webhooks/${id}/deliveries`)
      expect(list.length).to.be.greaterThan(0)
      return list
    })
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['GET', '/deliveries'],
      ['POST', '/rotate'],
      ['POST', `/deliveries/${delivery.id}/redrive`],
    ] as const) {
      const { status } = await ours.ask(method, `/webhooks/${id}${path}`, { body: method === 'GET' ? undefined : {} })
      expect(status, `${method} ${path}`).to.equal(404)
    }
    expect((await ours.all('/webhooks')).length).to.equal(0)
  })

  it('are guarded by their version, and page', async () => {
    const api = await admin()
    const made = await api.post('/webhooks', { url: 'https://192.0.66.2/', events: ['restored'] })
    const etag = made.headers.get('etag') ?? ''
    expect(made.headers.get('location')).to.equal(`/api/v1/webhooks/${made.body.id}`)
    const path = `/webhooks/${made.body.id}`
    const changed = await api.ask('PATCH', path, { body: { labels: { a: 'b' } }, headers: { 'if-match': etag } })
    expect(changed.body).to.deep.include({ labels: { a: 'b' }, version: 2 })
    for (const method of ['PATCH', 'DELETE'])
      expect((await api.ask(method, path, { body: {}, headers: { 'if-match': etag } })).status).to.equal(412)
    expect((await api.get(path, { 'if-none-match': changed.headers.get('etag') ?? '' })).status).to.equal(304)
    await api.post('/webhooks', { url: 'https://192.0.66.2/', events: ['restored'] })
    const { body: page } = await api.get('/webhooks?limit=1')
    expect(page.items).to.have.length(1)
    expect((await api.get(`/webhooks?limit=1&cursor=${page.nextCursor}`)).body.nextCursor).to.equal(null)
    expect((await api.ask('DELETE', path)).status).to.equal(204)
    expect((await api.get(path)).status).to.equal(404)
  })

  it('are no more than an org may have, also of two that are made at once; the refusal is in the audit trail', async () => {
    const api = await admin()
    const about = { url: 'https://192.0.66.2/', events: ['restored'] }
    for (let n = 0; n < 9; n += 1) await hook(api, about.url, about)
    const answers = await Promise.all([api.post('/webhooks', about), api.post('/webhooks', about)])
    const [made, refused] = answers.toSorted((a, b) => a.status - b.status)
    expect(made?.status).to.equal(201)
    expect(refused?.body).to.include({
      status: 409,
      code: 'quota_exceeded',
      quota: 'maxWebhooks',
      scope: 'org',
      limit: 10,
      used: 10,
      asked: 1,
    })
    await eventually(async () => {
      const told = (await api.all('/audit?action=createWebhook&outcome=refused')).map(({ code }) => code)
      expect(told).to.deep.equal(['quota_exceeded'])
    })
    await api.ask('DELETE', `/webhooks/${made?.body.id}`)
    expect((await api.post('/webhooks', about)).status).to.equal(201)
  })

  it('are refused where they point at what is not public, and nothing is sent there', async () => {
    const api = await admin()
    for (const url of [
      'http://10.0.0.1/',
      'http://169.254.169.254/latest/meta-data/',
      'http://[::1]:80/',
      'http://0xa9fea9fe/',
    ]) {
      const { status, body } = await api.post('/webhooks', { url, events: ['*'] })
      expect([status, body.code, body.errors?.[0]?.field], url).to.deep.equal([422, 'target_refused', 'url'])
    }
    for (const url of ['ftp://example.com/', 'https://u:p@example.com/', 'nothing', 'https://example.com/#x', ''])
      expect((await api.post('/webhooks', { url, events: ['*'] })).status, url).to.equal(400)
    expect((await api.post('/webhooks', { url: 'https://example.com/', events: ['nothing'] })).status).to.equal(400)
    expect((await api.post('/webhooks', { url: 'https://example.com/', events: [] })).status).to.equal(400)
  })
})
