import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { agentCodec, agentPageCodec, agentWithTokenCodec, removedAgentCodec } from '../../../src/api/agent.ts'
import { commandCodec, commandPageCodec } from '../../../src/api/command.ts'
import { jobPageCodec, queuePageCodec } from '../../../src/api/job.ts'
import {
  agentEventPageCodec,
  orgOrphanRemovalCodec,
  orphanPageCodec,
  orphanRemovalCodec,
} from '../../../src/api/orphan.ts'
import { sessionCodec } from '../../../src/api/session.ts'
import { templateCodec, templatePageCodec } from '../../../src/api/template.ts'
import { type ApiServer, serve } from './api-server.ts'
import {
  aCommand,
  aJob,
  anApiKey,
  type FakeApplication,
  fakeApplication,
  lostSession,
  SESSION_ID,
} from './fake-application.ts'

describe('templates, agents and commands over HTTP', () => {
  let app: FakeApplication
  let api: ApiServer
  before(async () => {
    app = fakeApplication()
    api = await serve(app)
  })
  after(() => api[Symbol.asyncDispose]())
  beforeEach(() => {
    app.calls.length = 0
  })

  const document = { name: 'mine', displayName: 'Mine', spec: { process: { command: ['x'] } } }

  it('a new template version is a 201, the same content again a 200', async () => {
    const created = await api.call('POST', '/api/v1/templates', { body: document })
    expect([created.status, E.isRight(templateCodec.decode(created.json))]).to.deep.equal([201, true])
    expect(created.headers.get('location')).to.match(/^\/api\/v1\/templates\//)
    const same = await api.call('POST', '/api/v1/templates', { body: { ...document, name: 'hello-web' } })
    expect(same.status).to.equal(200)
  })

  it('whose a template is to be stands beside the document', async () => {
    await api.call('POST', '/api/v1/templates', { body: document })
    await api.call('POST', '/api/v1/templates', { body: { ...document, orgId: null } })
    await api.call('POST', '/api/v1/templates', { body: { ...document, orgId: 'default' } })
    expect(app.calls).to.deep.equal([
      ['put', document, undefined],
      ['put', document, null],
      ['put', document, 'default'],
    ])
  })

  it('of an operation the audit trail is asked for what it is done to, so that an index of few finds it', async () => {
    const asked = async (query: string) => {
      app.calls.length = 0
      expect((await api.call('GET', `/api/v1/audit?${query}`)).status).to.equal(200)
      return app.calls[0]?.[1]
    }
    expect(await asked('action=cordonAgent,createApiKey')).to.deep.equal({
      action: ['cordonAgent', 'createApiKey'],
      resource: ['agent', 'api_key'],
    })
    expect(await asked('action=cordonAgent&resource=org')).to.deep.include({ resource: ['org'] })
    for (const unknown of ['toString', 'cordonAgent,cordon'])
      expect(await asked(`action=${unknown}`)).to.deep.equal({ action: unknown.split(',') })
  })

  it('every failing field of a template is named', async () => {
    const answer = await api.call('POST', '/api/v1/templates', {
      body: { name: 'Not A Label', displayName: 'x', spec: { process: { command: [] } }, orgId: 7, colour: 1 },
    })
    expect(answer.status).to.equal(400)
    expect(answer.json.errors.map((error: { field: string }) => error.field)).to.have.members([
      'name',
      'spec.process.command',
      'orgId',
      'colour',
    ])
  })

  it('templates are read one by one, in pages and by version, and archived', async () => {
    const one = await api.call('GET', '/api/v1/templates/hello-web')
    expect(one.json).to.deep.equal({
      name: 'hello-web',
      displayName: 'Hello',
      spec: { process: { command: ['node', 'x.js'] } },
      version: 2,
      orgId: null,
      platforms: ['process'],
      createdAt: '2026-01-01T00:00:00.000Z',
      archivedAt: null,
    })
    const again = await api.call('GET', '/api/v1/templates/hello-web', {
      headers: { 'if-none-match': one.headers.get('etag') ?? '' },
    })
    expect(again.status).to.equal(304)
    for (const path of ['/api/v1/templates?category=web&tag=a,b', '/api/v1/templates/hello-web/versions'])
      expect(E.isRight(templatePageCodec.decode((await api.call('GET', path)).json)), path).to.equal(true)
    expect((await api.call('DELETE', '/api/v1/templates/hello-web')).status).to.equal(204)
  })

  it('an enrolled agent’s token is shown once and never cached', async () => {
    const answer = await api.call('POST', '/api/v1/agents', { body: { id: 'edge-2', platform: 'process' } })
    expect([answer.status, answer.json.id, answer.json.token]).to.deep.equal([201, 'edge-2', 'ssa_once'])
    expect(answer.headers.get('location')).to.equal('/api/v1/agents/edge-2')
    expect(answer.headers.get('cache-control')).to.equal('no-store')
    expect(E.isRight(agentWithTokenCodec.decode(answer.json))).to.equal(true)
    const rotated = await api.call('POST', '/api/v1/agents/edge-1/token')
    expect([rotated.status, rotated.json.token, rotated.headers.get('cache-control')]).to.deep.equal([
      200,
      'ssa_once',
      'no-store',
    ])
    expect((await api.call('GET', '/api/v1/agents/edge-1')).text).to.not.include('ssa_')
    expect(JSON.stringify(api.logged)).to.not.include('ssa_')
  })

  it('an agent’s id and platform are checked by name', async () => {
    const answer = await api.call('POST', '/api/v1/agents', { body: { id: '../etc', platform: '', region: '' } })
    expect(answer.status).to.equal(400)
    expect(answer.json.errors.map((error: { field: string }) => error.field)).to.have.members([
      'id',
      'platform',
      'region',
    ])
  })

  it('agents are read, cordoned, uncordoned and removed', async () => {
    const page = await api.call('GET', '/api/v1/agents?status=online,degraded&platform=process')
    expect(E.isRight(agentPageCodec.decode(page.json))).to.equal(true)
    expect(E.isRight(agentCodec.decode((await api.call('GET', '/api/v1/agents/edge-1')).json))).to.equal(true)
    expect((await api.call('POST', '/api/v1/agents/edge-1/cordon')).json.cordoned).to.equal(true)
    expect((await api.call('POST', '/api/v1/agents/edge-1/uncordon')).json.cordoned).to.equal(false)
    expect((await api.call('DELETE', '/api/v1/agents/edge-1')).status).to.equal(204)
    const removed = await api.call('DELETE', '/api/v1/agents/edge-1?force=true')
    expect(removed.status).to.equal(200)
    expect(E.isRight(removedAgentCodec.decode(removed.json))).to.equal(true)
    expect(removed.json).to.deep.equal({ agentId: 'edge-1', count: 1, sessions: [lostSession] })
    expect(app.calls.at(-1)).to.deep.equal(['remove', 'edge-1', true])
  })

  it('orphans are listed, those that are there unless others are asked for, and approved with or without a body', async () => {
    const page = await api.call('GET', '/api/v1/agents/edge-1/orphans')
    expect(E.isRight(orphanPageCodec.decode(page.json))).to.equal(true)
    await api.call('GET', '/api/v1/agents/edge-1/orphans?state=removed,gone')
    expect(app.calls.map((call) => call[2])).to.deep.equal([
      ['seen', 'approved', 'removing'],
      ['removed', 'gone'],
    ])
    app.calls.length = 0
    const approve = (how: object) => api.call('POST', '/api/v1/agents/edge-1/orphans/approve', how)
    const answer = await approve({})
    expect([answer.status, answer.json]).to.deep.equal([202, { approved: 1 }])
    await approve({ body: {} })
    await approve({ body: { sessionIds: [SESSION_ID] } })
    expect(app.calls).to.deep.equal([
      ['approve', 'edge-1', null],
      ['approve', 'edge-1', null],
      ['approve', 'edge-1', [SESSION_ID]],
    ])
    for (const sessionIds of [[], ['7'], SESSION_ID])
      expect((await approve({ body: { sessionIds } })).status).to.equal(400)
  })

  it('If-Match reaches every change of what has an ETag', async () => {
    const command = `/api/v1/commands/${aCommand.id}`
    const key = `/api/v1/api-keys/${anApiKey.id}`
    const document = { name: 'hello-web', displayName: 'Hello', spec: { process: { command: ['true'] } } }
    const changes: readonly (readonly [read: string, method: string, path: string, body?: object])[] = [
      ['/api/v1/agents/edge-1', 'POST', '/api/v1/agents/edge-1/cordon'],
      ['/api/v1/agents/edge-1', 'POST', '/api/v1/agents/edge-1/uncordon'],
      ['/api/v1/agents/edge-1', 'POST', '/api/v1/agents/edge-1/token'],
      ['/api/v1/agents/edge-1', 'DELETE', '/api/v1/agents/edge-1'],
      ['/api/v1/templates/hello-web', 'POST', '/api/v1/templates', document],
      ['/api/v1/templates/hello-web', 'DELETE', '/api/v1/templates/hello-web'],
      [command, 'POST', `${command}/redrive`],
      [command, 'POST', `${command}/cancel`],
      [key, 'POST', `${key}/rotate`],
      [key, 'DELETE', key],
      ['/api/v1/orgs/acme', 'DELETE', '/api/v1/orgs/acme'],
      ['/api/v1/orphan-removal', 'POST', '/api/v1/orphan-removal/halt'],
      ['/api/v1/orphan-removal', 'POST', '/api/v1/orphan-removal/resume'],
      ['/api/v1/orgs/acme/orphan-removal', 'POST', '/api/v1/orgs/acme/orphan-removal/halt'],
      ['/api/v1/orgs/acme/orphan-removal', 'POST', '/api/v1/orgs/acme/orphan-removal/resume'],
    ]
    for (const [read, method, path, body] of changes) {
      const etag = (await api.call('GET', read)).headers.get('etag') ?? ''
      expect(etag, read).to.match(/^"\d+-[0-9a-f]{8}"$/)
      const sent = body === undefined ? {} : { body }
      const answer = await api.call(method, path, { ...sent, headers: { 'if-match': etag } })
      expect(answer.status, path).to.be.below(300)
      expect(app.calls.at(-1)?.at(-1), path).to.equal(Number(etag.slice(1).split('-')[0]))
    }
  })

  it('If-Match on what has no ETag is refused, not overlooked', async () => {
    const body = { template: 'hello-web' }
    const refused = await api.call('POST', '/api/v1/sessions', { body, headers: { 'if-match': '"1-00000000"' } })
    expect([refused.status, refused.json.code]).to.deep.equal([412, 'precondition_failed'])
    expect((await api.call('POST', '/api/v1/sessions', { body, headers: { 'if-match': '*' } })).status).to.equal(201)
  })

  it('an orphan is adopted: 201, where it is from now on, and an ETag', async () => {
    const path = `/api/v1/agents/edge-1/orphans/${SESSION_ID}/adopt`
    const body = { orgId: 'default', userId: 'ada', template: 'hello-web', parameters: { title: 'x' } }
    const answer = await api.call('POST', path, { body })
    expect([answer.status, answer.headers.get('location')]).to.deep.equal([201, `/api/v1/sessions/${SESSION_ID}`])
    expect(answer.headers.get('etag')).to.match(/^"3-[0-9a-f]{8}"$/)
    expect(E.isRight(sessionCodec.decode(answer.json))).to.equal(true)
    expect(app.calls).to.deep.equal([['adopt', 'edge-1', SESSION_ID, body]])
    const placed = await api.call('POST', path, { body: { ...body, userId: 'a\nb', orgId: 7, agentId: 'edge-2' } })
    expect(placed.status).to.equal(400)
    expect(placed.json.errors.map(({ field }: { field: string }) => field)).to.have.members([
      'userId',
      'orgId',
      'agentId',
    ])
    expect((await api.call('POST', path)).status).to.equal(400)
    const nothing = await api.call('POST', '/api/v1/agents/edge-1/orphans/7/adopt', { body })
    expect([nothing.status, nothing.json.detail]).to.deep.equal([404, 'there is no orphan "7" that you can see'])
  })

  it('an orphan that cannot be adopted is a 409 that says why', async () => {
    for (const why of ['not_yours', 'being_removed', 'is_a_session'] as const) {
      const refusing = await serve(
        fakeApplication({ refusal: { _tag: 'OrphanNotAdoptable', sessionId: SESSION_ID as SessionId, why } }),
      )
      const answer = await refusing.call('POST', `/api/v1/agents/edge-1/orphans/${SESSION_ID}/adopt`, {
        body: { orgId: 'default', userId: 'ada', template: 'hello-web' },
      })
      await refusing[Symbol.asyncDispose]()
      expect([answer.status, answer.json.code]).to.deep.equal([409, 'orphan_not_adoptable'])
      expect(answer.json.detail).to.match(new RegExp(`^${SESSION_ID} is `))
    }
  })

  it('an agent’s events are pages, and whether orphans are removed at all is one answer', async () => {
    const events = await api.call('GET', '/api/v1/agents/edge-1/events')
    expect(E.isRight(agentEventPageCodec.decode(events.json))).to.equal(true)
    for (const [method, path] of [
      ['GET', '/api/v1/orphan-removal'],
      ['POST', '/api/v1/orphan-removal/halt'],
      ['POST', '/api/v1/orphan-removal/resume'],
    ] as const)
      expect(E.isRight(orphanRemovalCodec.decode((await api.call(method, path)).json)), path).to.equal(true)
    for (const [method, act] of [
      ['GET', ''],
      ['POST', '/halt'],
      ['POST', '/resume'],
    ] as const) {
      const { json } = await api.call(method, `/api/v1/orgs/acme/orphan-removal${act}`)
      expect(E.isRight(orgOrphanRemovalCodec.decode(json)), act).to.equal(true)
      expect(json.orgId).to.equal('acme')
    }
  })

  it('commands are listed by status, agent and session', async () => {
    const answer = await api.call('GET', `/api/v1/commands?status=dead,expired&agent=edge-1&session=${SESSION_ID}`)
    expect(E.isRight(commandPageCodec.decode(answer.json))).to.equal(true)
    expect(app.calls[0]?.[1]).to.deep.equal({ status: ['dead', 'expired'], agent: ['edge-1'], session: [SESSION_ID] })
    const wrong = await api.call('GET', '/api/v1/commands?session=7')
    expect([wrong.status, wrong.json.errors[0].field]).to.deep.equal([400, 'session'])
  })

  it('one command is read, redriven and cancelled; an id that cannot be one names nothing', async () => {
    const path = `/api/v1/commands/${aCommand.id}`
    const answers = [
      await api.call('GET', path),
      await api.call('POST', `${path}/redrive`),
      await api.call('POST', `${path}/cancel`, { body: {} }),
    ]
    expect(answers.map(({ status, json }) => [status, json.status])).to.deep.equal([
      [200, 'done'],
      [202, 'pending'],
      [202, 'cancelled'],
    ])
    for (const { json } of answers) expect(E.isRight(commandCodec.decode(json))).to.equal(true)
    expect(app.calls).to.deep.equal([
      ['command', aCommand.id],
      ['redrive', aCommand.id],
      ['cancel', aCommand.id],
    ])
    const wrong = await api.call('POST', '/api/v1/commands/7/redrive')
    expect([wrong.status, wrong.json.code]).to.deep.equal([404, 'not_found'])
  })

  it('queues and their jobs are listed in pages, and a job is retried', async () => {
    const queues = await api.call('GET', '/api/v1/jobs?limit=7')
    expect(E.isRight(queuePageCodec.decode(queues.json))).to.equal(true)
    const jobs = await api.call('GET', '/api/v1/jobs/duty.sweep?state=failed,active')
    expect(E.isRight(jobPageCodec.decode(jobs.json))).to.equal(true)
    const retried = await api.call('POST', `/api/v1/jobs/duty.sweep/${aJob.id}/retry`)
    expect([retried.status, retried.json.state]).to.deep.equal([202, 'retry'])
    expect(app.calls).to.deep.equal([
      ['queues', { limit: 7, cursor: null }],
      ['jobs', 'duty.sweep', { state: ['failed', 'active'] }, { limit: 50, cursor: null }],
      ['retry', 'duty.sweep', aJob.id],
    ])
    for (const path of ['/api/v1/jobs/duty.sweep?state=lost', '/api/v1/jobs?state=failed'])
      expect((await api.call('GET', path)).status, path).to.equal(400)
    expect((await api.call('GET', '/api/v1/jobs/no%20such%20queue')).status).to.equal(404)
    expect((await api.call('POST', '/api/v1/jobs/duty.sweep/7/retry')).status).to.equal(404)
  })
})
