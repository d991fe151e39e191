/** Whose sessions these are, where the container that says so is gone or its making was not answered. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { connectEngine } from '../../../agents/docker/engine.ts'
import { agentName, label } from '../../../agents/docker/names.ts'
import { ANCHOR_IMAGE, createOwnership, type Ownership } from '../../../agents/docker/ownership.ts'
import { type CuttingProxy, cuttingProxy } from '../../support/cutting-proxy.ts'
import { type DockerEngine, dockerEngine, needsDocker } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, type Place, place, script } from './docker-agent.ts'

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

describe('the owner of an agent’s sessions on an engine', function () {
  this.timeout(60_000)
  let engine: DockerEngine
  let here: Place
  let proxy: CuttingProxy
  before(async function () {
    needsDocker.call(this)
    engine = await dockerEngine()
    here = await place(engine)
    proxy = await cuttingProxy(engine.host)
  })
  after(async () => {
    await here?.close()
    await proxy?.close()
  })

  const owner = (): Ownership => createOwnership(connectEngine(engine.host), here.agentId, quiet)
  const filtered = (role: string) => ({ label: [`${label.agent}=${here.agentId}`, `${label.role}=${role}`] })
  const owners = async () =>
    (await engine.docker.listContainers({ all: true, filters: JSON.stringify(filtered('agent')) })).map(({ Id }) => Id)
  const removeOwners = async (): Promise<void> => {
    for (const id of await owners()) await engine.docker.getContainer(id).remove({ force: true })
  }

  it('makes its container again when somebody removed it', async () => {
    const only = owner()
    await only.take()
    await removeOwners()
    expect(await only.isLost()).to.equal(false)
    expect(await owners()).to.deep.equal([only.volumesFrom()])
  })

  it('is never two, though the containers of both are gone and both look at once', async () => {
    const ends = new Set<string>()
    for (let round = 0; round < 8; round += 1) {
      const [older, newer] = [owner(), owner()]
      await older.take()
      await newer.take()
      await removeOwners()
      const lost = await Promise.all([older.isLost(), newer.isLost()])
      expect(lost, 'both believe to be the owner').not.to.deep.equal([false, false])
      const there = await owners()
      expect(there).to.have.length(lost.filter((one) => !one).length)
      ends.add(lost.join())
    }
    console.log(`      who has lost: ${[...ends].join(' / ')}`)
  })

  it('is whoever has named what is there: an older agent does not come back when the newer’s container is removed', async () => {
    const [older, newer] = [owner(), owner()]
    await older.take()
    await newer.take()
    const session = aSessionId()
    const name = `${agentName(newer.token()).replace(/agent$/, session)}-workload-1`
    const Labels = { [label.agent]: here.agentId, [label.role]: 'workload', [label.session]: session }
    const made = await engine.docker.createContainer({ name, Image: ANCHOR_IMAGE, Cmd: ['/none'], Labels })
    await removeOwners()
    expect(await older.isLost()).to.equal(true)
    expect(await owners()).to.deep.equal([])
    expect(await newer.isLost()).to.equal(false)
    expect(await older.isLost()).to.equal(true)
    await made.remove()
  })

  it('finds its own container when the answer to its making was lost', async () => {
    proxy.cut({ method: 'POST', path: /\/containers\/create/, nth: 1 })
    const agent = await here.agent({ dockerHost: proxy.host, agentId: `${randomUUID()}-${here.agentId}` })
    expect(proxy.hasCut()).to.equal(true)
    await eventually(() => expect(agent.platform.adopted?.()).to.equal(true))
    expect(agent.degraded.at(-1)).to.equal(null)
    const id = aSessionId()
    await agent.run(id, script('exec sleep 600'))
    await agent.apply(id, {}, { state: 'deleted', generation: 2 })
  })

  it('finds out again that there is room, though the answer to an earlier try was lost', async () => {
    const cut = createOwnership(connectEngine(proxy.host), here.agentId, quiet)
    await cut.take()
    proxy.cut({ method: 'POST', path: /\/containers\/create/, nth: 1 })
    const [lost] = await Promise.allSettled([cut.tryCreate()])
    expect([lost?.status, proxy.hasCut()]).to.deep.equal(['rejected', true])
    await cut.tryCreate()
    const all = await engine.docker.listContainers({ all: true })
    expect(all.filter(({ Names }) => Names[0]?.endsWith('-room'))).to.deep.equal([])
  })
})
