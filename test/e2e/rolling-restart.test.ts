/** Three replicas behind a balancer, replaced one after the other under load. */
import { expect } from 'chai'
import { balancer } from './support/balancer.ts'
import { creates } from './support/creates.ts'
import { allRunOnce, ledgerAgent } from './support/ledger-agent.ts'
import { rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { ADMIN_KEY, enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

describe('a rolling restart', function () {
  this.timeout(180_000)
  const here = scene('each')

  it('of three replicas under load: no call fails, nothing is lost, each session is started once', async () => {
    const databaseUrl = await migratedDatabase(here)
    const front = await balancer(here)
    const replicas: Server[] = []
    for (let n = 0; n < 3; n += 1) replicas.push(await server(here, databaseUrl))
    const balance = (): void => front.backends(replicas.map(({ url }) => url))
    balance()
    const api = rest(front.url, ADMIN_KEY)
    const agents = await Promise.all(
      ['edge-1', 'edge-2', 'edge-3', 'edge-4'].map(async (id) =>
        ledgerAgent(here, { id, token: await enrol(api, id), url: front.url }),
      ),
    )
    const load = creates(api, { template: 'hello-web' })
    here.finally(load.end)
    await load.more(20)
    for (const old of [...replicas]) {
      old.program.signal('SIGTERM')
      expect(await old.program.end(15_000)).to.deep.equal({ code: 0, signal: null })
      replicas.splice(replicas.indexOf(old), 1)
      balance()
      await load.more(10)
      replicas.push(await server(here, databaseUrl))
      balance()
      await load.more(10)
    }
    await load.end()
    console.log(
      `      ${load.promised.length} promised, ${load.unavailable()} × 503, longest pause ${Math.round(load.longestGap())} ms`,
    )
    expect(load.failed(), 'calls that failed').to.deep.equal([])
    await allRunOnce(api, load.promised, agents)
  })
})
