/** What a person does first: `npm start`, a session, its endpoint, its history, and everything one can ask of it. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { quickestOf, timed } from '../support/quickest.ts'
import { eventually } from './support/eventually.ts'
import { processesOf, processesOfSession } from './support/processes.ts'
import type { Json } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { type Installation, npmStart } from './support/streamspace.ts'
import { listens, originOf, tokenOf, visit } from './support/visit.ts'

describe('the first session, after npm start on an empty data directory', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let home: Installation
  let dataDir: string

  before(async () => {
    dataDir = join(await here.folder(), 'data')
    home = await npmStart(here, dataDir)
  })

  const file = async (endpoint: Json, name: string, body?: string): Promise<Response> =>
    fetch(`${originOf(endpoint)}/${name}`, {
      method: body === undefined ? 'GET' : 'PUT',
      headers: { authorization: `Bearer ${tokenOf(endpoint)}` },
      ...(body === undefined ? {} : { body }),
    })

  it('npm start says where it listens and where the admin key is', async () => {
    const said = home.program.stdout()
    expect(home.url).to.match(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(said).to.match(/admin key +\S*admin-key\n/)
    const shown = /admin key +(\S+)/.exec(said)?.[1] ?? ''
    const key = await stat(join(process.cwd(), shown))
    expect(key.mode & 0o777).to.equal(0o600)
  })

  it('is healthy, ready and documented', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json', '/docs']) {
      const answer = await fetch(`${home.url}${path}`)
      expect(answer.status, path).to.equal(200)
      await answer.text()
    }
    const document = (await (await fetch(`${home.url}/openapi.json`)).json()) as Json
    expect(document.openapi).to.match(/^3\.1\./)
    expect(document.paths).to.include.keys('/api/v1/sessions', '/api/v1/templates', '/api/v1/agents')
  })

  it('has the templates that ship, for everybody: some for processes, some for containers', async () => {
    const { status, body } = await home.rest.get('/templates')
    expect(status).to.equal(200)
    for (const template of body.items) expect(template.orgId, template.name).to.equal(null)
    const of = (platform: string) =>
      body.items.filter(({ platforms }: Json) => platforms.includes(platform)).map(({ name }: Json) => name)
    expect(of('process')).to.have.members(['hello-web', 'file-browser', 'static-site'])
    const forContainers = ['hello-web', 'static-site', 'code-server', 'jupyter', 'browser-desktop', 'shell']
    expect(of('docker')).to.have.members(forContainers)
    expect(of('kubernetes')).to.have.members(forContainers)
  })

  it('has one agent, soon online', async () => {
    const agent = await eventually(async () => {
      const { body } = await home.rest.get('/agents')
      expect(body.items).to.have.lengthOf(1)
      expect(body.items[0]).to.include({ platform: 'process', status: 'online', cordoned: false })
      return body.items[0]
    })
    expect(agent.capacity.maxSessions).to.be.above(0)
  })

  it('a session is running within two seconds of being asked for', () =>
    quickestOf(3, 2_000, () =>
      timed(async () => {
        const { id } = await home.rest.create({ template: 'hello-web' })
        await home.rest.until(id, 'running')
      }),
    ))

  it('a session is created, and its endpoint answers who has its token and nobody else', async () => {
    const created = await home.rest.create({
      template: 'hello-web',
      name: 'my first',
      parameters: { title: 'Good day' },
    })
    expect(created).to.include({ name: 'my first', desiredState: 'running', generation: 1 })
    const running = await home.rest.until(created.id, 'running')
    expect(running.endpoint).to.include({ protocol: 'http' })
    const page = await visit(running.endpoint.url)
    expect(page.status).to.equal(200)
    expect(page.html).to.include('Good day').and.to.include(created.id)
    expect((await fetch(originOf(running.endpoint))).status).to.equal(401)
    expect((await fetch(`${originOf(running.endpoint)}/?token=wrong`)).status).to.equal(401)
    expect((await fetch(originOf(running.endpoint), { headers: { authorization: 'Bearer wrong' } })).status).to.equal(
      401,
    )
    const known = await fetch(originOf(running.endpoint), {
      headers: { authorization: `Bearer ${tokenOf(running.endpoint)}` },
    })
    expect(known.status).to.equal(200)
    await known.text()
  })

  it('shows its events and its commands', async () => {
    const { id } = await home.rest.create({ template: 'hello-web' })
    await home.rest.until(id, 'running')
    const events = await eventually(async () => {
      const found = (await home.rest.get(`/sessions/${id}/events`)).body.items
      expect(found.map(({ type }: Json) => type)).to.include('running')
      return found
    })
    expect(events[0]).to.include({ type: 'created', sessionId: id, generation: 1, actor: 'user:admin' })
    expect(events.at(-1)).to.include({ type: 'running', actor: 'agent:local' })

    const commands = await eventually(async () => {
      const found = (await home.rest.get(`/sessions/${id}/commands`)).body.items
      expect(found[0].status).to.equal('done')
      return found
    })
    expect(commands).to.have.lengthOf(1)
    expect(commands[0]).to.include({
      sessionId: id,
      agentId: 'local',
      type: 'start_session',
      generation: 1,
      attempts: 1,
      lastError: null,
    })
    for (const at of ['createdAt', 'sentAt', 'ackedAt', 'finishedAt']) expect(commands[0][at], at).to.be.a('string')
  })

  it('is stopped, started, restarted, hibernated and woken, and deleted', async () => {
    const { id } = await home.rest.create({ template: 'hello-web' })
    const first = (await home.rest.until(id, 'running')).endpoint.url
    const ask = async (action: string): Promise<void> => {
      const { status, body } = await home.rest.post(`/sessions/${id}/${action}`)
      expect(status, JSON.stringify(body)).to.equal(202)
      expect(body.id).to.equal(id)
    }
    const running = async (): Promise<Json> => {
      const session = await home.rest.until(id, 'running')
      expect(session.observedGeneration).to.equal(session.generation)
      const page = await visit(session.endpoint.url)
      expect(page.status).to.equal(200)
      return session
    }
    const resting = async (status: string): Promise<void> => {
      const session = await home.rest.until(id, status)
      expect(session.endpoint).to.equal(null)
      expect(await listens(first)).to.equal(false)
      expect(await processesOfSession(id)).to.deep.equal([])
    }

    await ask('stop')
    await resting('stopped')
    await ask('start')
    const [before] = (await running().then(() => processesOfSession(id))).map(({ pid }) => pid)
    await ask('restart')
    await eventually(async () => expect((await home.rest.session(id)).observedGeneration).to.equal(4))
    expect((await running()).incarnation).to.equal(1)
    const [after] = (await processesOfSession(id)).map(({ pid }) => pid)
    expect(after, 'a restart is another process').not.to.equal(before)
    await ask('hibernate')
    await resting('hibernated')
    await ask('wake')
    const last = await running()

    const { status } = await home.rest.ask('DELETE', `/sessions/${id}`)
    expect(status).to.equal(202)
    await home.rest.gone(id)
    expect(await listens(last.endpoint.url)).to.equal(false)
    expect(await processesOfSession(id)).to.deep.equal([])
    const { body } = await home.rest.get('/sessions?limit=500')
    expect(body.items.map((session: Json) => session.id)).not.to.include(id)
  })

  it('keeps the home over stop and hibernate, and removes it on delete', async () => {
    const { id } = await home.rest.create({ template: 'file-browser' })
    const at = async (): Promise<Json> => (await home.rest.until(id, 'running')).endpoint
    expect((await file(await at(), 'diary.txt', 'dear diary')).status).to.equal(201)
    for (const [down, rests, up] of [
      ['stop', 'stopped', 'start'],
      ['hibernate', 'hibernated', 'wake'],
    ]) {
      await home.rest.post(`/sessions/${id}/${down}`)
      await home.rest.until(id, rests!)
      await home.rest.post(`/sessions/${id}/${up}`)
      const kept = await file(await at(), 'diary.txt')
      expect(kept.status, `after ${down}`).to.equal(200)
      expect(await kept.text()).to.equal('dear diary')
    }
    const [command] = await processesOfSession(id)
    const folder = /^HOME=(.+)$/m.exec(command?.environment ?? '')?.[1] ?? ''
    expect(await stat(join(folder, 'diary.txt')).then(({ size }) => size)).to.equal(10)
    await home.rest.ask('DELETE', `/sessions/${id}`)
    await home.rest.gone(id)
    expect(
      await stat(folder).then(
        () => 'still there',
        ({ code }) => code,
      ),
    ).to.equal('ENOENT')
  })

  it('forgets a home on stop when the session did not ask to keep it', async () => {
    const { id } = await home.rest.create({ template: 'file-browser', persistentHome: false })
    expect((await file((await home.rest.until(id, 'running')).endpoint, 'a', 'a')).status).to.equal(201)
    await home.rest.post(`/sessions/${id}/stop`)
    await home.rest.until(id, 'stopped')
    await home.rest.post(`/sessions/${id}/start`)
    expect((await file((await home.rest.until(id, 'running')).endpoint, 'a')).status).to.equal(404)
  })

  it('serves the files of a home with static-site', async () => {
    const { id } = await home.rest.create({ template: 'static-site' })
    const page = await visit((await home.rest.until(id, 'running')).endpoint.url)
    expect(page.status).to.equal(200)
  })

  it('leaves nothing behind after an orderly stop but the data', async () => {
    home.program.signal('SIGTERM')
    expect(await home.program.end()).to.deep.equal({ code: 0, signal: null })
    expect(await processesOf(dataDir)).to.deep.equal([])
  })
})
