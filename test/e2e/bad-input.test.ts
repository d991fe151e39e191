/** What people and programs get wrong, over real HTTP: a clear error each, and nothing lost or left over. */
import { join } from 'node:path'
import { expect } from 'chai'
import { quickestOf, timed } from '../support/quickest.ts'
import { eventually } from './support/eventually.ts'
import { processesOfSession } from './support/processes.ts'
import type { Answer, Json } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'
import { absent, failing, idle, mute, putTemplate } from './support/templates.ts'

const problem = (answer: Answer, status: number, code: string): Json => {
  expect(answer.status, JSON.stringify(answer.body)).to.equal(status)
  expect(answer.headers.get('content-type')).to.match(/^application\/problem\+json/)
  expect(answer.body).to.include({ status, code })
  for (const member of ['type', 'title', 'detail', 'requestId']) expect(answer.body[member], member).to.be.a('string')
  return answer.body
}

const fields = (body: Json): readonly string[] => body.errors.map(({ field }: Json) => field).sort()

const UNKNOWN = '01900000-0000-7000-8000-000000000000'

describe('bad input', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server

  before(async () => {
    control = await server(here, await migratedDatabase(here))
    const token = await enrol(control.rest, 'edge-1')
    agent(
      here,
      { id: 'edge-1', token, url: control.url, dataDir: join(await here.folder(), 'agent') },
      { STREAMSPACE_MAX_SESSIONS: '4' },
    )
    for (const template of [absent, failing, idle, mute]) await putTemplate(control.rest, template)
    await eventually(async () => expect((await control.rest.get('/agents/edge-1')).body.status).to.equal('online'))
  })

  afterEach('no session is left', async () => {
    const left = await control.rest.all('/sessions')
    for (const { id } of left) await control.rest.ask('DELETE', `/sessions/${id}`)
    for (const { id } of left) await control.rest.gone(id)
  })

  const count = async (): Promise<number> => (await control.rest.get('/sessions/summary')).body.total

  it('no key, a wrong one, one of another kind', async () => {
    for (const authorization of ['', 'Bearer nonsense', `Bearer ssk_${'x'.repeat(40)}`, 'Basic dXNlcjpwYXNz']) {
      const answer = await control.rest.ask('GET', '/sessions', { headers: { authorization } })
      problem(answer, 401, 'unauthorized')
      expect(answer.headers.get('www-authenticate')).to.match(/^Bearer/)
    }
  })

  it('malformed JSON, a body that is no object, another media type, no body', async () => {
    const post = (text: string, headers = {}) => control.rest.ask('POST', '/sessions', { text, headers })
    problem(await post('{"template": "hello-web"'), 400, 'malformed_json')
    for (const text of ['[]', '"hello-web"', 'null', '7']) problem(await post(text), 400, 'invalid_request')
    problem(
      await post('template=hello-web', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
      'unsupported_media_type',
    )
    problem(await control.rest.ask('POST', '/sessions'), 400, 'invalid_request')
    expect(await count()).to.equal(0)
  })

  it('wrong types and unknown fields: each of them named, all at once', async () => {
    const { body } = await control.rest.post('/sessions', {
      template: 7,
      name: '',
      labels: { 'a b': 'c' },
      resources: { cpuMillis: 'many', gpus: 2 },
      env: { '1X': 'y' },
      persistentHome: 'yes',
      idleTimeoutSeconds: 0,
      colour: 'blue',
    })
    expect(body).to.include({ status: 400, code: 'invalid_request' })
    const named = fields(body).join(' ')
    for (const field of [
      'template',
      'name',
      'labels',
      'resources.cpuMillis',
      'resources.gpus',
      'env',
      'persistentHome',
      'idleTimeoutSeconds',
      'colour',
    ])
      expect(named).to.include(field)
    const patch = await control.rest.ask('PATCH', `/sessions/${UNKNOWN}`, { body: { template: 'x' } })
    expect(fields(problem(patch, 400, 'invalid_request'))).to.deep.equal(['template'])
    expect(await count()).to.equal(0)
  })

  it('unknown query parameters and wrong ones', async () => {
    expect(fields(problem(await control.rest.get('/sessions?colour=blue'), 400, 'invalid_request'))).to.deep.equal([
      'colour',
    ])
    for (const bad of [
      'limit=0',
      'limit=501',
      'limit=ten',
      'cursor=nonsense',
      'sort=colour',
      'status=asleep',
      'createdAfter=yesterday',
    ])
      problem(await control.rest.get(`/sessions?${bad}`), 400, 'invalid_request')
    problem(await control.rest.ask('DELETE', `/sessions/${UNKNOWN}?force=perhaps`), 400, 'invalid_request')
  })

  it('ids that nothing has, ids that are none, paths and methods that do not exist', async () => {
    for (const id of [UNKNOWN, 'nonsense', '%00', '..%2f..'])
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['POST', '/stop'],
        ['GET', '/events'],
        ['GET', '/commands'],
      ] as const)
        problem(await control.rest.ask(method, `/sessions/${id}${path}`), 404, 'not_found')
    problem(await control.rest.get('/templates/no-such-template'), 404, 'not_found')
    problem(await control.rest.get('/agents/no-such-agent'), 404, 'not_found')
    problem(await control.rest.get('/nowhere'), 404, 'not_found')
    problem(await control.rest.post(`/sessions/${UNKNOWN}/dance`), 404, 'not_found')
    const wrongMethod = await control.rest.ask('PUT', '/sessions', { body: {} })
    problem(wrongMethod, 405, 'method_not_allowed')
    expect(wrongMethod.headers.get('allow')).to.include('GET').and.to.include('POST')
  })

  it('a transition that is refused says how it is and what can be asked', async () => {
    const { id } = await control.rest.create({ template: 'idle' })
    await control.rest.until(id, 'running')
    await control.rest.post(`/sessions/${id}/stop`)
    const before = await control.rest.until(id, 'stopped')
    for (const action of ['hibernate', 'restart']) {
      const body = problem(await control.rest.post(`/sessions/${id}/${action}`), 409, 'transition_refused')
      expect(body.state).to.equal('stopped')
      expect(body.allowedActions).to.include.members(['start', 'delete']).and.not.to.include(action)
    }
    expect(await control.rest.session(id)).to.deep.equal(before)
  })

  it('a template that does not exist, a version of it that does not, parameters that do not fit', async () => {
    const create = (request: object) => control.rest.post('/sessions', request)
    problem(await create({ template: 'no-such-template' }), 422, 'unknown_template')
    problem(await create({ template: 'hello-web', templateVersion: 99 }), 422, 'unknown_template')
    const body = problem(
      await create({ template: 'hello-web', parameters: { title: '', colour: 'blue' } }),
      422,
      'invalid_parameters',
    )
    expect(fields(body).join(' ')).to.include('title').and.to.include('colour')
    const theme = await create({ template: 'static-site', parameters: { theme: 'pink' } })
    expect(fields(problem(theme, 422, 'invalid_parameters')).join(' ')).to.include('theme')
    expect(await count()).to.equal(0)
  })

  it('a platform without agents, and an agent that nobody enrolled', async () => {
    const create = (request: object) => control.rest.post('/sessions', request)
    const body = problem(await create({ template: 'hello-web', platform: 'docker' }), 422, 'no_agent')
    expect(body.refusals[0]).to.include({ agentId: 'edge-1' })
    expect(body.refusals[0].reason).to.be.a('string')
    problem(await create({ template: 'hello-web', agentId: 'nobody' }), 422, 'unknown_agent')
    expect(await count()).to.equal(0)
  })

  it('a full agent: the session waits, says why, and is placed as soon as there is room', async () => {
    const held = await Promise.all([1, 2, 3, 4].map(() => control.rest.create({ template: 'idle' })))
    for (const { id } of held) await control.rest.until(id, 'running')
    const waiting = await control.rest.create({ template: 'idle' })
    expect(waiting).to.include({
      status: 'pending',
      statusReason: 'no_capacity',
      agentId: null,
      desiredState: 'running',
    })
    expect(waiting.statusMessage).to.include('edge-1').and.to.include('4 of 4')
    expect(waiting.deadline).to.be.a('string')
    await control.rest.ask('DELETE', `/sessions/${held[0].id}`)
    await control.rest.gone(held[0].id)
    await control.rest.until(waiting.id, 'running')
    expect(await processesOfSession(waiting.id)).to.have.lengthOf(1)
  })

  it('which takes no more than two seconds', async () => {
    const held = await Promise.all([1, 2, 3, 4].map(() => control.rest.create({ template: 'idle' })))
    for (const { id } of held) await control.rest.until(id, 'running')
    const ids = held.map(({ id }) => id)
    await quickestOf(3, 2_000, async () => {
      const waiting = await control.rest.create({ template: 'idle' })
      expect(waiting.status).to.equal('pending')
      const leaves = ids.shift()
      ids.push(waiting.id)
      await control.rest.ask('DELETE', `/sessions/${leaves}`)
      await control.rest.gone(leaves)
      return timed(() => control.rest.until(waiting.id, 'running'))
    })
  })

  it('what could never fit waits, too, and can be stopped and deleted at once', async () => {
    const { id } = await control.rest.create({ template: 'idle', resources: { memoryMib: 10_000_000 } })
    expect(await control.rest.session(id)).to.include({ status: 'pending', statusReason: 'no_capacity' })
    const { body } = await control.rest.post(`/sessions/${id}/stop`)
    expect(body).to.include({ status: 'stopped', observedGeneration: 2 })
    expect((await control.rest.ask('DELETE', `/sessions/${id}`)).status).to.equal(202)
    expect((await control.rest.get(`/sessions/${id}`)).status).to.equal(404)
  })

  it('a port that is never opened: failed, with what was waited for', async () => {
    const { id } = await control.rest.create({ template: 'mute' })
    const failed = await control.rest.until(id, 'failed')
    expect(failed).to.include({ statusReason: 'start_timeout', endpoint: null })
    expect(failed.statusMessage).to.match(/waited 1 s for .*port http/)
    expect(await processesOfSession(id), 'nothing is left over').to.deep.equal([])
    await eventually(async () => expect((await control.rest.get('/agents/edge-1')).body.allocated.sessions).to.equal(0))
  })

  it('a command that does not exist, and one that fails at once and says why', async () => {
    const missing = await control.rest.create({ template: 'absent' })
    const failed = await control.rest.until(missing.id, 'failed')
    expect(failed.statusMessage).to.include('no-such-command-anywhere')
    const broken = await control.rest.create({ template: 'failing' })
    const said = await control.rest.until(broken.id, 'failed')
    expect(said).to.include({ statusReason: 'exited_early', exitCode: 3, exitSignal: null })
    expect(said.lastOutput).to.equal('the disk is made of cheese\n')
    const { body } = await control.rest.get(`/sessions/${missing.id}/commands`)
    expect(body.items[0]).to.include({ status: 'failed' })
  })

  it('a template that is none', async () => {
    const put = (template: object) => control.rest.post('/templates', template)
    const body = problem(
      await put({ name: 'Not A Label', displayName: 'x', spec: {}, colour: 'blue' }),
      400,
      'invalid_request',
    )
    expect(fields(body).join(' ')).to.include('name').and.to.include('colour')
    problem(await put({ name: 'empty', displayName: 'x', spec: {} }), 400, 'invalid_request')
    problem(
      await put({
        name: 'probe',
        displayName: 'x',
        spec: { process: { command: ['true'] }, probe: { type: 'tcp', port: 'web' } },
      }),
      400,
      'invalid_request',
    )
    const idle = { displayName: 'x', spec: { process: { command: ['true'] } } }
    const parameters = [{ name: 'size', type: 'string', pattern: '^[sml]$', default: 'huge' }]
    const misfit = problem(await put({ name: 'misfit', ...idle, parameters }), 422, 'invalid_parameters')
    expect(fields(misfit)).to.deep.equal(['parameters[0].default'])
    for (const name of ['empty', 'misfit']) problem(await control.rest.get(`/templates/${name}`), 404, 'not_found')
  })

  it('a body over 1 MiB, and text that no database holds', async () => {
    const large = JSON.stringify({ template: 'idle', name: 'x'.repeat(1024 * 1024) })
    problem(await control.rest.ask('POST', '/sessions', { text: large }), 413, 'body_too_large')
    const nul = await control.rest.post('/sessions', { template: 'idle', env: { A: 'a\u0000b' } })
    expect(nul.status, JSON.stringify(nul.body)).to.be.within(400, 422)
    const lone = await control.rest.ask('POST', '/sessions', { text: '{"template":"idle","name":"\\ud800"}' })
    expect(lone.status, JSON.stringify(lone.body)).to.be.within(400, 422)
    expect(await count()).to.equal(0)
  })

  it('an agent id that is taken, that cannot be one, and an agent with sessions', async () => {
    problem(await control.rest.post('/agents', { id: 'edge-1', platform: 'process' }), 409, 'agent_exists')
    problem(await control.rest.post('/agents', { id: '../etc', platform: 'process' }), 400, 'invalid_request')
    await control.rest.create({ template: 'idle' })
    const body = problem(await control.rest.ask('DELETE', '/agents/edge-1'), 409, 'agent_has_sessions')
    expect(body.sessions).to.equal(1)
  })
})
