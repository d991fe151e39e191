/** A server and `streamspace agent docker`, as a person starts them, on a real engine. */
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from '../../e2e/support/eventually.ts'
import type { Json } from '../../e2e/support/rest.ts'
import { type Program, scene } from '../../e2e/support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server } from '../../e2e/support/streamspace.ts'
import { putTemplate } from '../../e2e/support/templates.ts'
import {
  BUSYBOX,
  type DockerEngine,
  dockerEngine,
  needsDocker,
  needsOwnDocker,
  type OwnEngine,
  ownEngine,
} from '../../support/docker-engine.ts'
import { siteTemplate } from '../site-template.ts'

const AGENT = 'docker-1'

describe('the Docker agent', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let engine: DockerEngine
  let control: Server
  let start: () => Program
  let first: Program

  before(async function () {
    needsDocker.call(this)
    engine = await dockerEngine()
    control = await server(here, await migratedDatabase(here), { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500' })
    const token = await enrol(control.rest, AGENT, 'docker')
    const dataDir = join(await here.folder(), 'agent')
    start = () =>
      agent(here, { id: AGENT, token, url: control.url, dataDir, platform: 'docker' }, { DOCKER_HOST: engine.host })
    first = start()
    await putTemplate(control.rest, siteTemplate('steady', { policy: 'on-failure', maxRetries: 3 }))
    await putTemplate(control.rest, siteTemplate('once', { policy: 'never' }))
  })

  const pageOf = async ({ endpoint }: Json): Promise<string> => (await fetch(endpoint.url)).text()
  const containersOf = async (id: string): Promise<readonly string[]> => {
    const filters = JSON.stringify({ label: [`streamspace.io/session=${id}`] })
    return (await engine.docker.listContainers({ all: true, filters })).map(({ Id }) => Id)
  }

  it('runs a session with its parameters, and shows what is underneath', async () => {
    const { id } = await control.rest.create({ template: 'steady', parameters: { title: 'Good morning' } })
    const session = await control.rest.until(id, 'running')
    expect(await pageOf(session)).to.equal('Good morning\n')
    expect(session).to.include({ platform: 'docker', agentId: AGENT, agentReachable: true, restarts: 0 })
    expect(await containersOf(id)).to.include(session.containerId)
    expect(session.imageDigest).to.match(/^sha256:[0-9a-f]{64}$/)
    expect(session.node).to.be.a('string')
    expect(session.image).to.equal(BUSYBOX)
  })

  it('runs the first template that people try, though the image has nothing but busybox', async () => {
    const { id } = await control.rest.create({ template: 'hello-web', parameters: { title: 'A < B' } })
    const page = await pageOf(await control.rest.until(id, 'running'))
    expect(page).to.include('<h1>A &lt; B</h1>').and.include(id)
    await control.rest.post(`/sessions/${id}/stop`)
    expect(await control.rest.until(id, 'stopped')).to.include({ statusReason: 'by_request' })
  })

  it('keeps the home over hibernating and waking, and removes everything with the session', async () => {
    const { id } = await control.rest.create({ template: 'steady', parameters: { title: 'one' } })
    await control.rest.until(id, 'running')
    expect((await control.rest.post(`/sessions/${id}/hibernate`)).status).to.equal(202)
    await control.rest.until(id, 'hibernated')
    expect((await control.rest.post(`/sessions/${id}/wake`)).status).to.equal(202)
    expect(await pageOf(await control.rest.until(id, 'running'))).to.equal('one\none\n')
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id)
    await eventually(async () => expect(await containersOf(id)).to.deep.equal([]))
    const { Volumes } = await engine.docker.listVolumes()
    expect(Volumes.map(({ Name }) => Name).filter((name) => name.includes(id))).to.deep.equal([])
  })

  it('notices within two seconds what somebody removed, and repairs it as the restart policy says', async () => {
    const { id } = await control.rest.create({ template: 'steady' })
    const { containerId } = await control.rest.until(id, 'running')
    await engine.docker.getContainer(containerId).remove({ force: true })
    const noticed = await eventually(
      async () => {
        const session = await control.rest.session(id)
        expect(session).not.to.include({ status: 'running', containerId })
        return session
      },
      { within: 2_000 },
    )
    expect(noticed.restarts).to.be.oneOf([0, 1])
    const repaired = await control.rest.until(id, 'running')
    expect(repaired.containerId).not.to.equal(containerId)
    expect(repaired.restarts).to.equal(1)
    expect(await pageOf(repaired)).to.equal('Home\nHome\n')
  })

  it('says within two seconds that a session is over, where the policy is never', async () => {
    const { id } = await control.rest.create({ template: 'once' })
    const { containerId } = await control.rest.until(id, 'running')
    await engine.docker.getContainer(containerId).remove({ force: true })
    expect(await control.rest.until(id, 'failed', 2_000)).to.include({ statusReason: 'removed_outside' })
  })

  it('gives its sessions to a second agent of the same id, and ends', async () => {
    const { id } = await control.rest.create({ template: 'once' })
    const { containerId } = await control.rest.until(id, 'running')
    const second = start()
    await control.rest.post(`/sessions/${id}/restart`)
    const restarted = await eventually(async () => {
      const session = await control.rest.session(id)
      expect(session).to.include({ status: 'running', incarnation: 1 })
      return session
    })
    expect(restarted.containerId).not.to.equal(containerId)
    expect((await first.end()).code).to.equal(1)
    second.signal('SIGTERM')
    expect((await second.end()).code).to.equal(0)
    // An agent that leaves, leaves its sessions as they are.
    expect(await pageOf(restarted)).to.equal('Home\nHome\n')
  })
})

describe('the Docker agent, as the server shows it', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let engine: OwnEngine
  before(async function () {
    needsOwnDocker.call(this)
    engine = await ownEngine()
  })
  after(() => engine?.remove())

  it('is degraded, with why, while its engine is not there, and loses no session by that', async () => {
    const control = await server(here, await migratedDatabase(here), { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500' })
    const token = await enrol(control.rest, AGENT, 'docker')
    const dataDir = join(await here.folder(), 'agent')
    const start = () =>
      agent(here, { id: AGENT, token, url: control.url, dataDir, platform: 'docker' }, { DOCKER_HOST: engine.host })
    const shown = async (): Promise<Json> => (await control.rest.get(`/agents/${AGENT}`)).body
    const first = start()
    await putTemplate(control.rest, siteTemplate('once', { policy: 'never' }))
    await putTemplate(control.rest, siteTemplate('steady', { policy: 'on-failure', maxRetries: 3 }))
    const { id: once } = await control.rest.create({ template: 'once' })
    const { id: steady } = await control.rest.create({ template: 'steady' })
    for (const id of [once, steady]) await control.rest.until(id, 'running')
    first.signal('SIGTERM')
    await first.end()
    await engine.stop()
    const second = start()
    await eventually(async () => {
      const { status, statusReason } = await shown()
      expect({ status, statusReason }).to.have.property('status', 'degraded')
      expect(statusReason).to.match(/the Docker engine at unix:.* cannot be reached: .*start the engine or set/)
    })
    // Nothing is said to be gone that only cannot be seen.
    for (const id of [once, steady])
      expect(await control.rest.session(id)).to.include({ status: 'running', restarts: 0 })
    await engine.start()
    await eventually(async () => expect(await shown()).to.include({ status: 'online', statusReason: null }))
    expect(await control.rest.until(once, 'failed', 10_000)).to.include({ statusReason: 'host_restarted' })
    await eventually(async () =>
      expect(await control.rest.session(steady)).to.include({ status: 'running', restarts: 1 }),
    )
    second.signal('SIGTERM')
    await second.end()
  })
})
