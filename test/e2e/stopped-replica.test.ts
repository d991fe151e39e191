/**
 * A replica that stands still for so long that the others take it for dead, and then goes on as if nothing had
 * happened: its sockets, what it had read, what it wanted to write.
 */
import { expect } from 'chai'
import pg from 'pg'
import { balancer } from './support/balancer.ts'
import { creates } from './support/creates.ts'
import { eventually } from './support/eventually.ts'
import { allRunOnce, ledgerAgent } from './support/ledger-agent.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, server } from './support/streamspace.ts'

describe('a replica that stands still', function () {
  this.timeout(240_000)
  const here = scene('each')

  it('is taken for dead, its agents go on elsewhere, and when it goes on it takes nothing back', async () => {
    const databaseUrl = await migratedDatabase(here)
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 })
    pool.on('error', () => {})
    here.finally(() => pool.end())
    const column = async (text: string): Promise<readonly string[]> =>
      (await pool.query({ text, rowMode: 'array' })).rows.map(([value]) => String(value))
    const replicas = () => column('SELECT id FROM replicas ORDER BY started_at')
    const queues = async () =>
      (await column(`SELECT name FROM pgboss.queue WHERE name LIKE 'outbox.drain.%'`))
        .map((name) => name.slice(13))
        .sort()
    const holders = () => column('SELECT COALESCE(replica_id::text, $$nobody$$) FROM agent_leases ORDER BY agent_id')
    const epochs = () => column('SELECT epoch FROM agent_leases ORDER BY agent_id')

    const quick = { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '1000' }
    const sleeper = await server(here, databaseUrl, quick)
    const other = await server(here, databaseUrl, quick)
    const [sleeperId, otherId] = await replicas()
    const front = await balancer(here)
    front.backends([sleeper.url])
    const start = async (id: string, url: string) => ledgerAgent(here, { id, token: await enrol(other.rest, id), url })
    // One has a way to the other replica, one has none.
    const agents = [await start('edge-1', front.url), await start('edge-2', sleeper.url)]
    expect(await holders()).to.deep.equal([sleeperId, sleeperId])
    const load = creates(other.rest, { template: 'hello-web' }, { clients: 2, pauseMs: 100 })
    here.finally(load.end)
    await load.more(20)

    sleeper.program.signal('SIGSTOP')
    here.finally(async () => sleeper.program.signal('SIGCONT'))
    front.backends([other.url])
    await eventually(async () => expect((await holders())[0]).to.equal(otherId))
    await eventually(async () => expect(await replicas()).to.deep.equal([otherId]))
    expect(await holders()).to.deep.equal([otherId, 'nobody'])
    await eventually(async () => expect(await queues(), 'its queue went with it').to.deep.equal([otherId]))
    await load.more(10)
    const [epoch] = await epochs()

    sleeper.program.signal('SIGCONT')
    await eventually(async () => expect([...(await replicas())].sort()).to.deep.equal([sleeperId, otherId].sort()))
    await eventually(async () => expect(await queues()).to.deep.equal([sleeperId, otherId].sort()))
    await eventually(async () => expect(await holders()).to.deep.equal([otherId, sleeperId]))
    await load.more(10)
    await load.end()
    expect(load.failed(), 'calls that failed').to.deep.equal([])
    expect((await epochs())[0], 'the agent that had gone was left alone').to.equal(epoch)
    await allRunOnce(other.rest, load.promised, agents)
    expect((await epochs())[0]).to.equal(epoch)
    expect(sleeper.program.ended()).to.equal(null)
  })
})
