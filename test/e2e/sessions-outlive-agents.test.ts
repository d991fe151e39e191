/** A session that ends by itself, with an agent that sees it, that is dead meanwhile, and that comes back. */
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { quickestOf, timed } from '../support/quickest.ts'
import { eventually } from './support/eventually.ts'
import { agentsOf, isAlive, isAsleep, pidOfSession, postmastersOf, processesOfSession } from './support/processes.ts'
import { type Program, scene } from './support/scene.ts'
import {
  agent,
  dev,
  enrol,
  type Installation,
  migratedDatabase,
  type Server,
  server,
  usedDataDir,
} from './support/streamspace.ts'
import { counted, idle, putTemplate, startsFolder, startsIn, talkative } from './support/templates.ts'
import { visit } from './support/visit.ts'

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const homeOf = async (sessionId: string): Promise<string> => {
  const [process_] = await processesOfSession(sessionId)
  return /^HOME=(.+)$/m.exec(process_?.environment ?? '')?.[1] ?? ''
}

describe('with npm start', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let home: Installation

  before(async () => {
    home = await dev(here, await usedDataDir(here))
    await putTemplate(home.rest, idle)
  })

  it('a session whose template never restarts and whose process is killed is failed, with the signal, and shows its last output', async () => {
    const { id } = await home.rest.create({ template: 'idle' })
    await home.rest.until(id, 'running')
    // `running` comes before the command has said anything; when it sleeps it has.
    const pid = await eventually(async () => {
      const asleep = (await processesOfSession(id)).find(isAsleep)
      if (asleep === undefined) throw new Error('it has not come to its sleep')
      return asleep.pid
    })
    process.kill(pid, 'SIGKILL')
    const failed = await home.rest.until(id, 'failed')
    expect(failed).to.include({ exitSignal: 'SIGKILL', exitCode: null, statusReason: 'exited_early', endpoint: null })
    expect(failed.lastOutput).to.equal('here I am\n')
    const { body } = await home.rest.get(`/sessions/${id}/events`)
    expect(body.items.at(-1)).to.include({ type: 'failed', actor: 'agent:local' })
    expect(body.items.at(-1).data).to.include({ exitSignal: 'SIGKILL' })
  })

  it('which takes no more than two seconds', () =>
    quickestOf(3, 2_000, async () => {
      const { id } = await home.rest.create({ template: 'idle' })
      await home.rest.until(id, 'running')
      const pid = await pidOfSession(id)
      return timed(async () => {
        process.kill(pid, 'SIGKILL')
        await home.rest.until(id, 'failed')
      })
    }))

  it('a failed session is started again when it is asked for', async () => {
    const { id } = await home.rest.create({ template: 'idle' })
    await home.rest.until(id, 'running')
    process.kill(await pidOfSession(id), 'SIGTERM')
    expect(await home.rest.until(id, 'failed')).to.include({ exitSignal: 'SIGTERM' })
    expect((await home.rest.post(`/sessions/${id}/start`)).status).to.equal(202)
    const again = await home.rest.until(id, 'running')
    expect(again).to.include({ exitSignal: null, lastOutput: null, generation: 2 })
    await pidOfSession(id)
  })

  it('a session whose template restarts on failure runs again by itself, at the same generation', async () => {
    const { id } = await home.rest.create({ template: 'hello-web' })
    const before = await home.rest.until(id, 'running')
    process.kill(await pidOfSession(id), 'SIGKILL')
    const after = await eventually(async () => {
      const session = await home.rest.session(id)
      expect(session).to.include({ status: 'running', restarts: 1 })
      return session
    })
    expect(after.generation).to.equal(before.generation)
    expect((await visit(after.endpoint.url)).status).to.equal(200)
  })

  it('the agent is killed: sessions go on, and the agent is started again and has them', async () => {
    const { id } = await home.rest.create({ template: 'hello-web' })
    const { endpoint } = await home.rest.until(id, 'running')
    const pid = await pidOfSession(id)
    const [killed, ...others] = await agentsOf(home.dataDir)
    expect(others).to.deep.equal([])
    process.kill(killed!, 'SIGKILL')
    expect((await visit(endpoint.url)).status, 'while the agent is dead').to.equal(200)
    await eventually(async () => {
      const [present] = await agentsOf(home.dataDir)
      expect(present).to.be.a('number').and.not.equal(killed)
    })
    const { epoch } = (await home.rest.get('/agents/local')).body
    await eventually(async () => {
      const { body } = await home.rest.get('/agents/local')
      expect(body.status).to.equal('online')
      expect(body.epoch).to.be.at.least(epoch)
    })
    // What is asked of it now proves that it is held again.
    expect(await home.rest.session(id)).to.deep.include({ status: 'running', endpoint, restarts: 0, generation: 1 })
    expect(await pidOfSession(id)).to.equal(pid)
    expect((await visit(endpoint.url)).status).to.equal(200)
    await home.rest.post(`/sessions/${id}/stop`)
    await home.rest.until(id, 'stopped')
    expect(isAlive(pid)).to.equal(false)
  })

  it('the database is killed: it is started again, and everything goes on', async () => {
    const { id } = await home.rest.create({ template: 'hello-web' })
    const { endpoint } = await home.rest.until(id, 'running')
    const [killed] = await postmastersOf(home.dataDir)
    process.kill(killed!, 'SIGKILL')
    expect((await visit(endpoint.url)).status, 'a session needs no database').to.equal(200)
    await eventually(async () => {
      expect(await postmastersOf(home.dataDir))
        .to.have.lengthOf(1)
        .and.not.to.include(killed)
      expect((await fetch(`${home.url}/readyz`)).status).to.equal(200)
    })
    expect(await home.rest.session(id)).to.deep.include({ status: 'running', endpoint, generation: 1 })
    expect((await home.rest.post(`/sessions/${id}/stop`)).status).to.equal(202)
    await home.rest.until(id, 'stopped')
  })
})

describe('an agent of its own that is killed', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let start: () => Program
  let starts: string

  before(async () => {
    control = await server(here, await migratedDatabase(here), { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500' })
    const folder = await here.folder()
    starts = await startsFolder(folder)
    const token = await enrol(control.rest, 'edge-1')
    start = () => agent(here, { id: 'edge-1', token, url: control.url, dataDir: join(folder, 'agent') })
    for (const template of [counted, talkative]) await putTemplate(control.rest, template)
  })

  const online = (status: string): Promise<void> =>
    eventually(async () => {
      expect((await control.rest.get('/agents/edge-1')).body.status).to.equal(status)
    })

  const kill = async (running: Program): Promise<void> => {
    running.signal('SIGKILL')
    await running.end()
  }

  it('leaves its sessions running and adopts them when it is back, without starting them again', async () => {
    const first = start()
    const { id } = await control.rest.create({ template: 'counted', env: { STARTS: starts } })
    const web = await control.rest.create({ template: 'hello-web' })
    const { endpoint } = await control.rest.until(web.id, 'running')
    await control.rest.until(id, 'running')
    const pids = [await pidOfSession(id), await pidOfSession(web.id)]
    await kill(first)
    await online('offline')
    const away = await control.rest.session(web.id)
    expect(away).to.include({ status: 'running', agentReachable: false })
    expect((await visit(endpoint.url)).status).to.equal(200)

    const second = start()
    await online('online')
    await eventually(async () => expect((await control.rest.session(web.id)).agentReachable).to.equal(true))
    const back = await control.rest.session(web.id)
    expect(back).to.deep.include({ status: 'running', endpoint, restarts: 0, generation: 1, observedGeneration: 1 })
    expect((await visit(endpoint.url)).status).to.equal(200)
    expect([await pidOfSession(id), await pidOfSession(web.id)]).to.deep.equal(pids)
    expect((await startsIn(starts)).get(id)).to.deep.equal([pids[0]])
    await kill(second)
  })

  it('tells what became of a session that was ended while it was dead, also after 10 MiB of output', async () => {
    const first = start()
    const { id } = await control.rest.create({ template: 'talkative' })
    await control.rest.until(id, 'running')
    const pid = await eventually(async () => {
      const [command] = (await processesOfSession(id)).filter(({ command }) => command.includes('go'))
      if (command === undefined) throw new Error('not begun')
      return command.pid
    })
    const home = await homeOf(id)
    await kill(first)
    await writeFile(join(home, 'go'), '')
    await eventually(async () => expect(await exists(join(home, 'done'))).to.equal(true))
    expect(isAlive(pid), 'nothing broke for want of a reader').to.equal(true)
    process.kill(pid, 'SIGKILL')
    const second = start()
    const failed = await control.rest.until(id, 'failed')
    expect(failed).to.include({ exitSignal: 'SIGKILL', exitCode: null, statusReason: 'exited_early' })
    expect(failed.lastOutput).to.include('0123456789abcdef')
    expect(failed.lastOutput.length).to.be.at.most(4_096)
    await kill(second)
  })

  it('goes away in order at SIGTERM and leaves its sessions running', async () => {
    const first = start()
    const { id } = await control.rest.create({ template: 'counted', env: { STARTS: starts } })
    await control.rest.until(id, 'running')
    const pid = await pidOfSession(id)
    first.signal('SIGTERM')
    expect(await first.end()).to.deep.equal({ code: 0, signal: null })
    expect(isAlive(pid)).to.equal(true)
    const second = start()
    await online('online')
    await control.rest.post(`/sessions/${id}/stop`)
    await control.rest.until(id, 'stopped')
    expect(isAlive(pid)).to.equal(false)
    expect((await startsIn(starts)).get(id)).to.deep.equal([pid])
    await kill(second)
  })

  it('does what was asked while it was away, the newest of it only', async () => {
    const first = start()
    const { id } = await control.rest.create({ template: 'counted', env: { STARTS: starts } })
    await control.rest.until(id, 'running')
    const pid = await pidOfSession(id)
    await kill(first)
    for (const action of ['stop', 'start', 'stop', 'start'])
      expect((await control.rest.post(`/sessions/${id}/${action}`)).status).to.equal(202)
    const second = start()
    const settled = await control.rest.until(id, 'running')
    expect(settled).to.include({ generation: 5, observedGeneration: 5 })
    // Nobody asked for another incarnation: what runs is what was asked for last.
    expect((await startsIn(starts)).get(id)).to.deep.equal([pid])
    expect(await pidOfSession(id)).to.equal(pid)
    await kill(second)
  })
})
