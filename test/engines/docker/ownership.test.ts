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
  this.timeout(120_000)
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

  /** An engine that answers no more from its nth call on, those before its own container was made not counted, until it goes on. */
  const stoppedAt = (nth: number) => {
    const { promise: goneOn, resolve: goOn } = Promise.withResolvers<void>()
    const { promise: isStopped, resolve: stop } = Promise.withResolvers<'stopped'>()
    let calls = 0
    let isCounted = false
    const real = connectEngine(engine.host)
    const slow = Object.entries(real).map(([name, call]) => [
      name,
      async (...given: unknown[]): Promise<unknown> => {
        calls += isCounted ? 1 : 0
        if (calls >= nth) {
          stop('stopped')
          await goneOn
        }
        const answer = await (call as (...all: unknown[]) => unknown)(...given)
        if (name === 'create') isCounted = true
        return answer
      },
    ])
    return { engine: Object.fromEntries(slow) as typeof real, isStopped, goOn }
  }

  it('changes nothing when it is stopped anywhere while it takes over, and goes on after another has worked', async () => {
    const pictureOf = async (agentId: string): Promise<string> => {
      const filters = JSON.stringify({ label: [`${label.agent}=${agentId}`] })
      const all = await engine.docker.listContainers({ all: true, filters })
      return JSON.stringify(all.map(({ Id, Names, State }) => [Id, Names, State]).toSorted())
    }
    let stops = 0
    for (let nth = 1; ; nth += 1) {
      const agentId = `${randomUUID().slice(0, 8)}-${here.agentId}`
      const first = await here.agent({ agentId })
      const [id, other] = [aSessionId(), aSessionId()]
      const idle = script('exec sleep 600')
      for (const one of [id, other]) await first.run(one, idle)
      await first.close()
      const { engine: slow, isStopped, goOn } = stoppedAt(nth)
      const taking = createOwnership(slow, agentId, quiet).take()
      const done = taking.then(
        () => 'taken',
        () => 'refused',
      )
      const isOver = (await Promise.race([isStopped, done])) === 'taken'
      const newer = await here.agent({ agentId })
      await newer.run(id, idle, { generation: 2, incarnation: 1 })
      const [picture, held] = [await pictureOf(agentId), newer.platform.inventory()]
      goOn()
      expect(await done, `stopped at call ${nth}`).to.equal(isOver ? 'taken' : 'refused')
      expect(await pictureOf(agentId), `after call ${nth}`).to.equal(picture)
      expect(newer.platform.inventory()).to.deep.equal(held)
      for (const one of [id, other]) await newer.apply(one, idle, { state: 'deleted', generation: 3 })
      expect(newer.platform.inventory()).to.deep.equal([])
      await newer.close()
      if (isOver) break
      stops += 1
    }
    expect(stops).to.be.greaterThan(5)
    console.log(`      stopped at ${stops} calls`)
  })

  it('removes what an earlier agent left that was killed while it looked for room', async () => {
    const left = await engine.docker.createContainer({
      Image: ANCHOR_IMAGE,
      Cmd: ['/none'],
      Labels: { [label.agent]: here.agentId, [label.role]: 'room' },
    })
    await owner().take()
    expect(await left.inspect().catch(({ statusCode }) => statusCode)).to.equal(404)
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
