import { execFileSync } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { expect } from 'chai'
import { networkName } from '../../../agents/docker/networks.ts'
import type { Applied } from '../../../agents/runtime/platform.ts'
import { needsDocker, needsOwnDocker, ownEngine } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, type DockerAgent, inside, type Place, place, script, site } from './docker-agent.ts'

const hostAddress = (): string | undefined =>
  Object.entries(networkInterfaces())
    .filter(([name]) => !/^(lo|docker|br-|veth)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .find(({ family }) => family === 'IPv4')?.address

describe('networks of sessions', function () {
  this.timeout(120_000)
  let here: Place
  let agent: DockerAgent
  before(async function () {
    needsDocker.call(this)
    here = await place()
    agent = await here.agent()
  })
  after(() => here?.close())

  const addressOf = async (
    containerId: string,
    there = here,
  ): Promise<{ readonly address: string; readonly gateway: string }> => {
    const { NetworkSettings } = await there.docker.getContainer(containerId).inspect()
    const [network] = Object.values(NetworkSettings.Networks)
    return { address: network?.IPAddress ?? '', gateway: network?.Gateway ?? '' }
  }
  const reaches = async (from: string, host: string, port: number, there = here): Promise<boolean> => {
    const request = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${host} ${port}`
    return (await inside(there, from, ['sh', '-c', request])).output.includes('hello')
  }
  const reachesInTime = (from: string, host: string, there = here): Promise<unknown> =>
    eventually(async () => expect(await reaches(from, host, 8080, there)).to.equal(true))

  it('let sessions of one org reach each other, and those of another not', async () => {
    const [first, second, other] = [aSessionId(), aSessionId(), aSessionId()]
    const one = await agent.run(first, site())
    const two = await agent.run(second, site())
    const foreign = await agent.run(other, site(), { orgId: 'another org, with a long name: München' })
    const [mine, theirs] = [await addressOf(one.containerId!), await addressOf(foreign.containerId!)]
    await reachesInTime(two.containerId!, mine.address)
    expect(await reaches(foreign.containerId!, mine.address, 8080)).to.equal(false)
    expect(await reaches(one.containerId!, theirs.address, 8080)).to.equal(false)
    await reachesInTime(one.containerId!, '127.0.0.1')
    // Nor through what is published on the host: neither by the gateway's address nor by the host's.
    for (const host of [theirs.gateway, mine.gateway, hostAddress()].filter((address) => address !== undefined))
      expect(await reaches(foreign.containerId!, host, one.endpoint!.port), host).to.equal(false)
    expect((await fetch(one.endpoint!.url)).status).to.equal(200)
  })

  describe('where ports are published on an address of the host', () => {
    const host = hostAddress()
    const both = async (there: Place, settings: object) => {
      const open = await there.agent({ agentId: `open-${there.agentId}`, publishAddress: host!, ...settings })
      const one = await open.run(aSessionId(), site())
      expect(one.endpoint!.host).to.equal(host)
      expect((await fetch(one.endpoint!.url)).status).to.equal(200)
      return { one, foreign: await open.apply(aSessionId(), site(), { orgId: 'elsewhere' }) }
    }

    it('sessions of a second org are refused: the engine would let them through', async function () {
      if (host === undefined) this.skip()
      const { foreign } = await both(here, {})
      expect(foreign).to.include({ kind: 'failed', code: 'rejected', retryable: false })
      expect((foreign as { message: string }).message).to.match(/userland-proxy/)
    })

    it('they are kept apart, too, by an engine without the proxy', async function () {
      if (host === undefined) this.skip()
      needsOwnDocker.call(this)
      const engine = await ownEngine(['--userland-proxy=false'])
      const there = await place(engine)
      const { one, foreign } = await both(there, { allowShared: true })
      const { containerId } = (foreign as Extract<Applied, { kind: 'applied' }>).observed!
      const { gateway } = await addressOf(containerId!, there)
      await reachesInTime(containerId!, '127.0.0.1', there)
      for (const address of [host, gateway])
        expect(await reaches(containerId!, address, one.endpoint!.port, there), address).to.equal(false)
      await there.close()
      await engine.remove()
    })
  })

  it('that are broken, or removed, in the moment in which a session starts in them are made again', async function () {
    // Where the engine's bridges are this machine's.
    needsOwnDocker.call(this)
    const orgId = 'an org with a broken network'
    const name = networkName(here.agentId, orgId)
    const breakings = {
      bridge: async () => {
        const { Id } = await here.docker.getNetwork(name).inspect()
        execFileSync('ip', ['link', 'delete', `br-${Id.slice(0, 12)}`])
      },
      network: () => here.docker.getNetwork(name).remove(),
    }
    for (const breaking of Object.values(breakings)) {
      let broken = false
      const clumsy = await here.agent(
        {},
        {
          step: async (step) => {
            if (step !== 'home_given' || broken) return
            broken = true
            await breaking()
          },
        },
      )
      const id = aSessionId()
      const observed = await clumsy.run(id, site(), { orgId })
      expect(broken).to.equal(true)
      expect((await fetch(observed.endpoint!.url)).status).to.equal(200)
      await clumsy.apply(id, site(), { generation: 2, state: 'deleted', orgId })
      await clumsy.close()
    }
    agent = await here.agent()
  })

  it('that are gone when a session is started again are made again, and its container with them', async () => {
    const orgId = 'an org whose network goes'
    const id = aSessionId()
    let gone = false
    const clumsy = await here.agent(
      {},
      {
        step: async (step) => {
          if (step !== 'waiting_to_restart' || gone) return
          gone = true
          await here.docker.getNetwork(networkName(here.agentId, orgId)).remove()
        },
      },
    )
    const spec = site({ restart: { policy: 'on-failure', maxRetries: 3 } })
    const { containerId } = await clumsy.run(id, spec, { orgId })
    await here.docker.getContainer(containerId!).kill()
    await eventually(() => {
      const { status, restarts, containerId: now } = clumsy.platform.held(id)!.observed
      expect({ status, restarts, isAnother: now !== containerId }).to.deep.equal({
        status: 'running',
        restarts: 1,
        isAnother: true,
      })
    })
    expect(gone).to.equal(true)
    expect((await fetch(clumsy.platform.held(id)!.observed.endpoint!.url)).status).to.equal(200)
    await clumsy.apply(id, spec, { generation: 2, state: 'deleted', orgId })
    await clumsy.close()
    agent = await here.agent()
  })

  it('are left as they are by an agent that another has taken over from', async () => {
    const orgId = 'an org whose session has ended'
    let noticed = 0
    const older = await here.agent({}, { housekeepingMs: 20, lost: () => (noticed += 1) })
    const newer = await here.agent()
    const id = aSessionId()
    const spec = script('exit 3')
    await newer.apply(id, spec, { orgId })
    await eventually(() => expect(newer.platform.held(id)?.observed).to.include({ status: 'failed', exitCode: 3 }))
    const before = noticed
    await eventually(() => expect(noticed).to.be.greaterThan(before + 5))
    expect((await here.docker.listNetworks()).map(({ Name }) => Name)).to.include(networkName(here.agentId, orgId))
    await newer.apply(id, spec, { generation: 2, state: 'deleted', orgId })
    await Promise.all([older.close(), newer.close()])
  })

  it('are small, one for each of forty orgs, and go when nothing runs in them', async () => {
    agent = await here.agent({}, { housekeepingMs: 1_000 })
    const sessions = Array.from({ length: 40 }, (_, index) => ({ id: aSessionId(), orgId: `org-number-${index}` }))
    const idle = script('exec sleep 600')
    for (const { id, orgId } of sessions) await agent.run(id, idle, { orgId })
    const names = async () => new Set((await here.docker.listNetworks()).map(({ Name }) => Name))
    const nameOf = ({ orgId }: { orgId: string }) => networkName(here.agentId, orgId)
    const subnets = (await here.docker.listNetworks())
      .filter(({ Name }) => sessions.some((one) => nameOf(one) === Name))
      .map(({ IPAM }) => IPAM?.Config?.[0]?.Subnet ?? '')
    expect(new Set(subnets).size).to.equal(40)
    for (const subnet of subnets) expect(subnet).to.match(/^10\.213\.\d+\.0\/24$/)
    await Promise.all(
      sessions.map(({ id, orgId }) =>
        agent.apply(id, idle, { generation: 2, state: 'deleted', orgId, persistentHome: true }),
      ),
    )
    await eventually(async () => {
      const left = await names()
      expect(sessions.filter((one) => left.has(nameOf(one)))).to.deep.equal([])
    })
  })
})
