/** What the engine refuses, or cannot do for one session: said clearly, and of no other's concern. */
import { expect } from 'chai'
import { label } from '../../../agents/docker/names.ts'
import { networkName } from '../../../agents/docker/networks.ts'
import { type CuttingProxy, cuttingProxy } from '../../support/cutting-proxy.ts'
import { type DockerEngine, dockerEngine, freePool, needsDocker } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, type DockerAgent, type Place, place, script, site } from './docker-agent.ts'

const idle = script('exec sleep 600')

describe('what an engine refuses', function () {
  this.timeout(120_000)
  let engine: DockerEngine
  let here: Place
  let agent: DockerAgent
  let proxy: CuttingProxy
  before(async function () {
    needsDocker.call(this)
    engine = await dockerEngine()
    here = await place(engine)
    proxy = await cuttingProxy(engine.host)
    // No housekeeping: a network that a test makes beforehand is empty until its first session.
    agent = await here.agent({ allowedMounts: ['/no/such/folder'] }, { housekeepingMs: 3_600_000 })
  })
  after(async () => {
    await here?.close()
    await proxy?.close()
  })

  it('is not a share of more cores than it has, nor of less than a hundredth: it is given what there is', async () => {
    const { NCPU } = (await here.docker.info()) as { NCPU: number }
    for (const [cpuMillis, given] of [
      [1_000_000, NCPU * 1e9],
      [1, 1e7],
    ] as const) {
      const id = aSessionId()
      const { containerId } = await agent.run(id, { ...idle, resources: { cpuMillis, memoryMib: 64 } })
      expect((await here.docker.getContainer(containerId!).inspect()).HostConfig.NanoCpus).to.equal(given)
      await agent.apply(id, idle, { state: 'deleted', generation: 2 })
    }
  })

  it('is final, in its own words, where it would refuse the same again', async () => {
    const id = aSessionId()
    const mounts = [{ hostPath: '/no/such/folder', path: '/data', readOnly: true }]
    const spec = { container: { ...(idle.container as object), mounts } } as typeof idle
    const applied = await agent.apply(id, spec)
    expect(applied).to.include({ kind: 'failed', code: 'rejected', retryable: false })
    expect((applied as { message: string }).message).to.match(/\/no\/such\/folder/)
    expect(agent.platform.held(id)?.observed).to.include({ status: 'failed', reason: 'rejected' })
    await agent.apply(id, idle, { state: 'deleted', generation: 2 })
  })

  it('is said beforehand where that can be known', async () => {
    const applied = await agent.apply(aSessionId(), { ...idle, resources: { cpuMillis: 100, memoryMib: 5 } })
    expect(applied).to.include({ kind: 'rejected' })
    expect((applied as { message: string }).message).to.include('no less than 6 MiB')
  })

  it('a session more than its network has addresses is told so, and the others run on', async () => {
    const orgId = 'an org with a small network'
    const [free] = await smallNetwork(orgId)
    const [first, second] = [aSessionId(), aSessionId()]
    await agent.run(first, idle, { orgId })
    const applied = await agent.apply(second, idle, { orgId })
    expect(applied, free).to.include({ kind: 'failed', code: 'platform_error', retryable: false })
    expect((applied as { message: string }).message).to.match(/the network of its org is full/)
    expect(agent.platform.held(first)?.observed).to.include({ status: 'running' })
    for (const id of [first, second]) await agent.apply(id, idle, { state: 'deleted', generation: 2, orgId })
  })

  /** Room for one. */
  const smallNetwork = async (orgId: string): Promise<readonly string[]> => {
    const { address } = freePool()
    const Subnet = `${[24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.')}/30`
    await here.docker.createNetwork({
      Name: networkName(here.agentId, orgId),
      Driver: 'bridge',
      IPAM: { Driver: 'default', Config: [{ Subnet }] },
      Labels: { [label.agent]: here.agentId, [label.role]: 'network', [label.org]: orgId },
    })
    return [Subnet]
  }

  it('a probe’s command that its image lacks is waited for no longer than the start may take, and nothing runs on', async () => {
    const id = aSessionId()
    const probe = { type: 'exec' as const, command: ['/no/such/program'] }
    const applied = await agent.apply(id, { ...idle, probe, startTimeoutSeconds: 2 })
    expect(applied).to.include({ kind: 'failed', code: 'start_timeout', retryable: false })
    expect((applied as { message: string }).message).to.match(/no\/such\/program|exit code 12[67]/)
    const roles = (await here.containersOf(id)).map(({ Labels }) => Labels[label.role])
    expect(roles).to.deep.equal(['session'])
    await agent.apply(id, idle, { state: 'deleted', generation: 2 })
  })

  it('a program that ends just as its probe begins has ended, and is judged by its policy', async () => {
    for (let round = 0; round < 6; round += 1) {
      const id = aSessionId()
      const probe = { type: 'exec' as const, command: ['sh', '-c', 'sleep 0.02; false'], intervalMs: 5 }
      const applied = await agent.apply(id, { ...script(`sleep 0.0${round + 1}; exit 3`), probe })
      expect(applied, `round ${round}`).to.include({ kind: 'failed', code: 'exited_early', retryable: false })
      await agent.apply(id, idle, { state: 'deleted', generation: 2 })
    }
  })

  it('a probe’s command that hangs is one process of the session, however long it is waited for', async () => {
    const id = aSessionId()
    const probe = { type: 'exec' as const, command: ['sh', '-c', 'echo once >>probes; sleep 30'], timeoutMs: 100 }
    const applying = agent.apply(id, { ...idle, probe, startTimeoutSeconds: 3 })
    expect(await applying).to.include({ kind: 'failed', code: 'start_timeout' })
    await agent.apply(id, script('exec sleep 600'), { generation: 2 })
    const counted = { type: 'exec' as const, command: ['sh', '-c', '[ "$(wc -l <probes)" = 1 ]'] }
    await agent.run(id, { ...idle, probe: counted }, { generation: 3, incarnation: 1 })
    await agent.apply(id, idle, { state: 'deleted', generation: 4 })
  })

  it('containers of one session for which it does not answer keep nobody from taking over the others', async () => {
    const agentId = `silent-${here.agentId}`
    const first = await here.agent({ agentId })
    const [ill, well] = [aSessionId(), aSessionId()]
    const { containerId } = await first.run(ill, idle)
    await first.run(well, site())
    await first.close()
    proxy.swallow(new RegExp(`/containers/streamspace-[0-9a-f]{10}-${ill}`))
    const next = await here.agent({ agentId, dockerHost: proxy.host })
    expect(next.platform.adopted?.()).to.equal(true)
    expect(next.platform.held(well)?.observed).to.include({ status: 'running' })
    // The server would take what is not told for removed.
    expect(next.platform.inventory().map(({ sessionId }) => sessionId)).to.have.members([ill, well])
    await next.run(aSessionId(), idle)
    proxy.swallow(null)
    await eventually(() =>
      expect(next.platform.held(ill)?.observed).to.include({ status: 'running', containerId, restarts: 0 }),
    )
    await next.close()
  })

  it('an address that is not there yet is tried again where nobody asked for the start', async () => {
    const agentId = `published-${here.agentId}`
    const first = await here.agent({ agentId })
    const id = aSessionId()
    const spec = site({ restart: { policy: 'always', maxRetries: 9 } })
    const { containerId } = await first.run(id, spec)
    await first.close()
    await here.docker.getContainer(containerId!).remove({ force: true })
    const next = await here.agent({ agentId, publishAddress: '192.0.2.77' })
    const isWaiting = () => {
      const { observed } = next.platform.held(id)!
      expect(observed.status, JSON.stringify(observed)).to.equal('starting')
      expect(observed.message).to.match(/could not be started again yet: its ports cannot be published/)
    }
    await eventually(isWaiting)
    const { restarts } = next.platform.held(id)!.observed
    const told = () => next.reports.filter(({ message }) => message?.includes('could not be started again yet'))
    await eventually(() => expect(told()).to.have.length.above(1))
    await eventually(isWaiting)
    expect(next.platform.held(id)!.observed.restarts).to.equal(restarts)
    await next.apply(id, spec, { state: 'deleted', generation: 2 })
    await next.close()
  })
})
