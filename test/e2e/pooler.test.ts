/** A server whose statements go through PgBouncer in transaction mode. */
import { join } from 'node:path'
import { expect } from 'chai'
import { needsPgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { creates } from './support/creates.ts'
import { eventually } from './support/eventually.ts'
import { allRunOnce, ledgerAgent } from './support/ledger-agent.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, server, streamspace } from './support/streamspace.ts'

describe('a server behind a transaction pooler', function () {
  this.timeout(180_000)
  before(needsPgBouncer)
  const here = scene('each')

  for (const poolSize of [1, 5])
    it(`creates, delivers, changes and reconciles over ${poolSize} server connection(s)`, async () => {
      const databaseUrl = await migratedDatabase(here)
      const pooler = await startPgBouncer({ directory: join(await here.folder(), 'pooler'), databaseUrl, poolSize })
      here.finally(pooler.stop)
      const control = await server(here, pooler.url, {
        STREAMSPACE_DATABASE_POOLER: 'transaction',
        STREAMSPACE_DATABASE_DIRECT_URL: databaseUrl,
        STREAMSPACE_HEARTBEAT_INTERVAL_MS: '1000',
        STREAMSPACE_INVENTORY_INTERVAL_MS: '1000',
      })
      const token = await enrol(control.rest, 'edge-1')
      const agent = await ledgerAgent(here, { id: 'edge-1', token, url: control.url })
      const load = creates(control.rest, { template: 'hello-web' }, { clients: 8, pauseMs: 0 })
      here.finally(load.end)
      await load.more(200)
      await load.end()
      expect(load.failed()).to.deep.equal([])
      expect(load.unavailable()).to.equal(0)
      await allRunOnce(control.rest, load.promised, [agent])

      const [first, second, third] = load.promised as readonly [string, string, string]
      await control.rest.post(`/sessions/${first}/stop`)
      await control.rest.until(first, 'stopped')
      await control.rest.ask('DELETE', `/sessions/${second}`)
      await control.rest.gone(second)
      agent.platform.lose(third as never)
      await eventually(async () => {
        const { statusReason, generation } = await control.rest.session(third)
        expect([statusReason, generation]).to.satisfy(
          ([reason, at]: [string, number]) => reason === 'removed_outside' || at > 1,
        )
      })
      expect((await control.rest.get('/sessions?limit=10')).body.items).to.have.lengthOf(10)
      expect(
        pooler.log().filter((line) => /WARNING|ERROR|FATAL|unsupported/.test(line)),
        'what the pooler did not like',
      ).to.deep.equal([])
    })

  it('does not start without a way past the pooler, and says so', async () => {
    const program = streamspace(here, ['server'], {
      DATABASE_URL: 'postgres://someone@127.0.0.1:1/nothing',
      STREAMSPACE_DATABASE_POOLER: 'transaction',
    })
    expect(await program.end()).to.deep.equal({ code: 2, signal: null })
    expect(program.stderr()).to.include('STREAMSPACE_DATABASE_DIRECT_URL')
  })
})
