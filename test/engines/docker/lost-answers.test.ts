/** Calls that the engine carries out and whose answer never arrives: at each kind of write of each command, once. */
import { expect } from 'chai'
import type { WireSpec } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { type Cut, type CuttingProxy, cuttingProxy } from '../../support/cutting-proxy.ts'
import { dockerEngine, needsDocker } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, type DockerAgent, type Place, place, script } from './docker-agent.ts'

type Kind = Omit<Cut, 'nth'>
const kinds: { readonly [name: string]: Kind } = {
  'create container': { method: 'POST', path: /\/containers\/create/ },
  start: { method: 'POST', path: /\/containers\/[^/]+\/start/ },
  rename: { method: 'POST', path: /\/containers\/[^/]+\/rename/ },
  signal: { method: 'POST', path: /\/containers\/[^/]+\/kill/ },
  'remove container': { method: 'DELETE', path: /\/containers\// },
  'remove volume': { method: 'DELETE', path: /\/volumes\// },
  'create network': { method: 'POST', path: /\/networks\/create/ },
  archive: { method: 'PUT', path: /\/archive/ },
}

type Change = { readonly state: 'running' | 'stopped' | 'hibernated' | 'deleted'; readonly incarnation?: number }
const life: { readonly [command: string]: Change } = {
  start: { state: 'running' },
  restart: { state: 'running', incarnation: 1 },
  hibernate: { state: 'hibernated', incarnation: 1 },
  wake: { state: 'running', incarnation: 2 },
  delete: { state: 'deleted', incarnation: 2 },
}

const idle = script('exec sleep 600')

describe('answers of the engine that are lost', function () {
  this.timeout(120_000)
  let here: Place
  let proxy: CuttingProxy
  let agent: DockerAgent
  let cuts = 0
  before(async function () {
    needsDocker.call(this)
    const engine = await dockerEngine()
    proxy = await cuttingProxy(engine.host)
    here = await place(engine)
    agent = await here.agent({ dockerHost: proxy.host })
  })
  after(async () => {
    console.log(`      ${cuts} answers were lost`)
    await here?.close()
    await proxy?.close()
  })

  const left = async (id: SessionId): Promise<readonly string[]> => {
    const { Volumes } = await here.docker.listVolumes()
    return [
      ...(await here.containersOf(id)).map(({ Names }) => Names[0] ?? ''),
      ...Volumes.map(({ Name }) => Name).filter((name) => name.includes(id)),
    ]
  }

  /** As the server does: again what failed retryably, the same generation. */
  const asked = async (id: SessionId, spec: Partial<WireSpec>, change: Change, generation: number, org: string) => {
    for (let tries = 1; ; tries += 1) {
      const applied = await agent.apply(id, spec, { ...change, generation, orgId: org })
      if (applied.kind !== 'failed' || !applied.retryable) return applied
      expect(tries, JSON.stringify(applied)).to.be.lessThan(4)
    }
  }

  /** A whole life, with the same loss in each of its commands. How many there were. */
  const lived = async (lost: string, kind: Kind, nth: number): Promise<number> => {
    const id = aSessionId()
    const org = `org-${id}`
    let cut = 0
    for (const [at, [name, change]] of Object.entries(life).entries()) {
      proxy.cut({ ...kind, nth })
      const applied = await asked(id, idle, change, at + 1, org)
      const what = `${name}, without the answer to "${lost}" number ${nth}, of ${proxy.writes().join(', ')}`
      expect(applied.kind, `${what}: ${JSON.stringify(applied)}`).to.equal('applied')
      if (applied.kind === 'applied' && change.state !== 'deleted')
        expect(applied.observed?.status, what).to.equal(change.state)
      if (proxy.hasCut()) cut += 1
    }
    expect(await left(id), `after the loss of "${lost}" number ${nth}`).to.deep.equal([])
    expect(agent.platform.held(id)).to.equal(null)
    return cut
  }

  for (const [lost, kind] of Object.entries(kinds))
    it(`to "${lost}", at each place of each command: the next try goes on, and nothing is left`, async () => {
      let all = 0
      for (let nth = 1, cut = 1; cut > 0; nth += 1) {
        cut = await lived(lost, kind, nth)
        all += cut
      }
      expect(all, 'never asked').to.be.greaterThan(0)
      cuts += all
    })

  it('leave no network either', async () => {
    await agent.close()
    agent = await here.agent({}, { housekeepingMs: 500 })
    await eventually(async () => {
      const networks = await here.docker.listNetworks()
      const mine = networks.filter(({ Labels }) => Labels?.['streamspace.io/agent'] === here.agentId)
      expect(mine.map(({ Name }) => Name)).to.deep.equal([])
    })
  })
})
