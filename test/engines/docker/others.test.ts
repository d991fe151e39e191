import { expect } from 'chai'
import { BUSYBOX, needsDocker } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, type DockerAgent, type Place, place, script, site } from './docker-agent.ts'

const idle = script('exec sleep 600')

describe('what is not the agent’s own on an engine', function () {
  this.timeout(120_000)
  let here: Place
  let agent: DockerAgent
  before(async function () {
    needsDocker.call(this)
    here = await place()
    agent = await here.agent()
  })
  after(() => here?.close())

  const container = async (labels: Record<string, string>): Promise<string> => {
    const made = await here.docker.createContainer({ Image: BUSYBOX, Cmd: ['sleep', '600'], Labels: labels })
    await made.start()
    return made.id
  }
  const states = async (...ids: string[]): Promise<readonly boolean[]> =>
    Promise.all(ids.map(async (id) => (await here.docker.getContainer(id).inspect()).State.Running))

  /** Long enough for all of them, of what happened before. */
  const untilEventsAreHeard = async (): Promise<void> => {
    const other = aSessionId()
    await agent.run(other, idle)
    await agent.apply(other, idle, { state: 'deleted', generation: 2 })
  }

  it('a container with our labels and a session that nobody knows is told, and touched only when that is asked for', async () => {
    const stray = aSessionId()
    const id = await container({
      'streamspace.io/agent': here.agentId,
      'streamspace.io/role': 'workload',
      'streamspace.io/session': stray,
      'streamspace.io/generation': '4',
      'streamspace.io/incarnation': '0',
    })
    const found = await eventually(() => {
      const item = agent.platform.inventory().find(({ sessionId }) => sessionId === stray)
      expect(item).to.include({ generation: 4, status: 'running' })
      return item
    })
    expect(await states(id)).to.deep.equal([true])
    expect(await agent.apply(stray, idle, { state: 'deleted', generation: found!.generation + 1 })).to.deep.equal({
      kind: 'applied',
      observed: null,
    })
    expect(await here.containersOf(stray)).to.deep.equal([])
    expect(agent.platform.held(stray)).to.equal(null)
  })

  it('labels that somebody made up are left alone', async () => {
    const made = await container({
      'streamspace.io/agent': here.agentId,
      'streamspace.io/role': 'workload',
      'streamspace.io/session': 'not-a-session',
      'streamspace.io/generation': 'many',
    })
    const session = aSessionId()
    await agent.run(session, idle)
    expect(agent.platform.inventory().map(({ sessionId }) => sessionId)).to.deep.equal([session])
    expect(await states(made)).to.deep.equal([true])
    await agent.apply(session, idle, { state: 'deleted', generation: 2 })
  })

  it('a second container of a session, made by hand with higher labels than ours, does not become the session', async () => {
    const session = aSessionId()
    const { containerId } = await agent.run(session, idle)
    const forged = await container({
      'streamspace.io/agent': here.agentId,
      'streamspace.io/role': 'session',
      'streamspace.io/session': session,
      'streamspace.io/generation': '99',
      'streamspace.io/desired': '{"not": "what it should be"}',
    })
    await untilEventsAreHeard()
    expect(agent.platform.held(session)).to.deep.include({ generation: 1 })
    expect(await states(containerId!, forged)).to.deep.equal([true, true])
    expect(await agent.apply(session, idle, { state: 'deleted', generation: 2 })).to.include({ kind: 'applied' })
  })

  it('a copy of a session’s container, or one made by hand with its labels, does not take its place; nor at a new start', async () => {
    const session = aSessionId()
    const { containerId } = await agent.run(session, idle)
    const [repo, tag] = ['docker.io/test/copied', session]
    await here.docker.getContainer(containerId!).commit({ repo, tag })
    const copy = await here.docker.createContainer({ Image: `${repo}:${tag}`, Entrypoint: ['sleep'], Cmd: ['600'] })
    await copy.start()
    const made = await container({
      'streamspace.io/agent': here.agentId,
      'streamspace.io/role': 'workload',
      'streamspace.io/session': session,
      'streamspace.io/generation': '7',
      'streamspace.io/incarnation': '0',
    })
    const isUntouched = async (): Promise<void> => {
      await untilEventsAreHeard()
      expect(await states(containerId!, copy.id, made)).to.deep.equal([true, true, true])
      expect(agent.platform.held(session)).to.deep.include({ generation: 1 })
      expect(agent.platform.held(session)?.observed).to.include({ status: 'running', containerId, restarts: 0 })
    }
    await isUntouched()
    await agent.close()
    agent = await here.agent()
    await isUntouched()
    await agent.apply(session, idle, { state: 'hibernated', generation: 2 })
    expect(await states(copy.id, made)).to.deep.equal([true, true])
    for (const id of [copy.id, made]) await here.docker.getContainer(id).remove({ force: true })
    expect(agent.platform.held(session)?.observed).to.include({ status: 'hibernated' })
    await agent.apply(session, idle, { state: 'deleted', generation: 3 })
    await here.docker.getImage(`${repo}:${tag}`).remove({ force: true })
  })

  it('a session’s containers that somebody renames have their names again, and are what is ended', async () => {
    const session = aSessionId()
    const { containerId } = await agent.run(session, idle)
    const named = async () => (await here.containersOf(session)).map(({ Names }) => Names[0] ?? '').toSorted()
    const names = await named()
    for (const { Id } of await here.containersOf(session))
      await here.docker.getContainer(Id).rename({ name: `renamed-${Id.slice(0, 12)}` })
    await eventually(async () => expect(await named()).to.deep.equal(names))
    expect(agent.platform.held(session)?.observed).to.include({ status: 'running', containerId, restarts: 0 })
    // Nobody is there to hear of it.
    await agent.close()
    await here.docker.getContainer(containerId!).rename({ name: `alone-${session}` })
    agent = await here.agent()
    expect(agent.platform.held(session)?.observed).to.include({ status: 'running', containerId, restarts: 0 })
    expect((await here.docker.getContainer(containerId!).inspect()).Name).to.match(/-workload-1$/)
    // Nobody has time to hear of it.
    const hibernated = await Promise.all([
      here.docker.getContainer(containerId!).rename({ name: `again-${session}` }),
      agent.apply(session, idle, { state: 'hibernated', generation: 2 }),
    ])
    expect(hibernated[1]).to.deep.include({ kind: 'applied' })
    const roles = async () => (await here.containersOf(session)).map(({ Labels }) => Labels['streamspace.io/role'])
    await eventually(async () => expect(await roles()).to.deep.equal(['session']))
    expect(agent.platform.held(session)?.observed).to.include({ status: 'hibernated' })
    await agent.apply(session, idle, { state: 'deleted', generation: 3 })
  })

  it('a container that was hidden while its session was put to rest is ended when it is seen', async () => {
    const session = aSessionId()
    let hidden = false
    const clumsy = await here.agent(
      { agentId: `clumsy-${here.agentId}` },
      {
        step: async (step) => {
          if (step !== 'workload_removed' || hidden) return
          hidden = true
          const [anchor] = await here.containersOf(session)
          const name = anchor?.Names[0]?.replace(/^\//, '').replace(/-anchor-.*/, '-workload-1') ?? ''
          const Labels = { ...anchor?.Labels, 'streamspace.io/role': 'workload', 'streamspace.io/generation': '1' }
          await (await here.docker.createContainer({ name, Image: BUSYBOX, Cmd: ['sleep', '600'], Labels })).start()
        },
      },
    )
    await clumsy.run(session, idle)
    expect(await clumsy.apply(session, idle, { state: 'hibernated', generation: 2 })).to.include({ kind: 'applied' })
    expect(hidden).to.equal(true)
    const roles = async () => (await here.containersOf(session)).map(({ Labels }) => Labels['streamspace.io/role'])
    await eventually(async () => expect(await roles()).to.deep.equal(['session']))
    await clumsy.apply(session, idle, { state: 'deleted', generation: 3 })
    await clumsy.close()
  })

  it('an anchor whose record cannot be read changes nothing of the session, nor of others, at a new start either', async () => {
    const [session, broken, empty] = [aSessionId(), aSessionId(), aSessionId()]
    const { containerId } = await agent.run(session, idle)
    for (const [of, desired] of [
      [session, '{"spec": '],
      [broken, 'null'],
      [empty, '{"spec": {}, "state": "running"}'],
    ] as const)
      await here.docker.createContainer({
        name: `streamspace-0123456789-${of}-anchor-7-up--0-0`,
        Image: BUSYBOX,
        Cmd: ['/none'],
        Labels: {
          'streamspace.io/agent': here.agentId,
          'streamspace.io/role': 'session',
          'streamspace.io/session': of,
          'streamspace.io/generation': '7',
          'streamspace.io/desired': desired,
        },
      })
    await agent.close()
    agent = await here.agent()
    expect(agent.platform.held(session)).to.deep.include({ generation: 1 })
    expect(agent.platform.held(session)?.observed).to.include({ status: 'running', containerId })
    expect(agent.platform.held(broken)).to.equal(null)
    expect(agent.platform.held(empty)?.observed).to.include({ status: 'failed', reason: 'rejected' })
    await agent.run(broken, idle, { generation: 8 })
    for (const id of [session, broken, empty])
      expect(await agent.apply(id, idle, { state: 'deleted', generation: 9 })).to.include({ kind: 'applied' })
    expect(agent.platform.inventory()).to.deep.equal([])
  })

  it('a home whose name is as long as a name can be belongs to the session’s user', async () => {
    const session = aSessionId()
    const path = `/home/${'n'.repeat(249)}`
    const probe = { type: 'exec' as const, command: ['test', '-f', 'mine'] }
    await agent.run(session, script('echo me >mine; exec sleep 600', { home: { path }, probe }))
    await agent.apply(session, idle, { state: 'deleted', generation: 2 })
  })

  it('two agents with different ids touch only their own', async () => {
    const other = await here.agent({ agentId: `other-${here.agentId}` })
    const [mine, theirs] = [aSessionId(), aSessionId()]
    await agent.run(mine, idle)
    await other.run(theirs, idle, { orgId: 'another' })
    expect(agent.platform.held(theirs)).to.equal(null)
    expect(other.platform.held(mine)).to.equal(null)
    expect(await other.apply(mine, idle, { state: 'deleted', generation: 9 })).to.deep.equal({
      kind: 'applied',
      observed: null,
    })
    const { containerId } = agent.platform.held(mine)!.observed
    expect(await states(containerId!)).to.deep.equal([true])
    await other.apply(theirs, idle, { state: 'deleted', generation: 2, orgId: 'another' })
    await agent.apply(mine, idle, { state: 'deleted', generation: 2 })
  })

  for (const state of ['running', 'hibernated'] as const)
    it(`the anchor of a ${state} session that somebody removed is written again, once, before the home can go`, async () => {
      const session = aSessionId()
      await agent.run(session, site())
      if (state !== 'running') await agent.apply(session, site(), { state, generation: 2 })
      const generation = state === 'running' ? 1 : 2
      const anchors = async () =>
        (await here.containersOf(session)).filter(({ Labels }) => Labels['streamspace.io/role'] === 'session')
      const [before] = await anchors()
      await here.docker.getContainer(before!.Id).remove({ force: true })
      const again = await eventually(async () => {
        const [one] = await anchors()
        expect(one?.Id).to.be.a('string')
        expect(one?.Id).not.to.equal(before?.Id)
        return one
      })
      // Long enough for it to be seen, and answered wrongly.
      const other = aSessionId()
      await agent.run(other, site())
      expect((await anchors()).map(({ Id }) => Id)).to.deep.equal([again?.Id])
      expect(agent.platform.held(session)).to.deep.include({ generation })
      const [refused] = await Promise.allSettled([here.docker.getVolume(`streamspace-${session}-home`).remove()])
      expect(refused?.status).to.equal('rejected')
      for (const id of [session, other]) await agent.apply(id, idle, { state: 'deleted', generation: 3 })
    })

  it('a home of which nothing tells any more goes when its session is deleted', async () => {
    const session = aSessionId()
    await agent.run(session, site())
    await agent.apply(session, site(), { state: 'hibernated', generation: 2 })
    await agent.close()
    for (const { Id } of await here.containersOf(session)) await here.docker.getContainer(Id).remove({ force: true })
    agent = await here.agent()
    expect(agent.platform.held(session)).to.equal(null)
    expect(await agent.apply(session, idle, { state: 'deleted', generation: 3 })).to.include({ kind: 'applied' })
    const { Volumes } = await here.docker.listVolumes()
    expect(Volumes.map(({ Name }) => Name)).not.to.include(`streamspace-${session}-home`)
  })
})

describe('a stop that comes just as the program ends', function () {
  this.timeout(120_000)
  let here: Place
  let agent: DockerAgent
  before(async function () {
    needsDocker.call(this)
    here = await place()
    agent = await here.agent()
  })
  after(() => here?.close())

  it('is what counts, though the restart policy would start it again', async () => {
    for (let round = 0; round < 8; round += 1) {
      const session = aSessionId()
      const spec = script('exec sleep 600', { restart: { policy: 'always', maxRetries: 9 } })
      const { containerId } = await agent.run(session, spec)
      const [stopped] = await Promise.all([
        // A little later each time.
        new Promise((resolve) => setTimeout(resolve, round * 15)).then(() =>
          agent.apply(session, spec, { state: 'stopped', generation: 2 }),
        ),
        here.docker.getContainer(containerId!).kill(),
      ])
      expect(stopped).to.deep.include({ kind: 'applied' })
      const other = aSessionId()
      await agent.run(other, idle)
      const held = agent.platform.held(session)
      expect([held?.generation, held?.observed.status], `round ${round}`).to.deep.equal([2, 'stopped'])
      const containers = await here.containersOf(session)
      expect(containers.map(({ Labels }) => Labels['streamspace.io/role'])).to.deep.equal(['session'])
      for (const id of [session, other]) await agent.apply(id, idle, { state: 'deleted', generation: 3 })
    }
  })
})
