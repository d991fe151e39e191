/** PostgreSQL is restarted under load: in order, at once, and by kill -9. Nothing else is restarted. */
import { join } from 'node:path'
import { expect } from 'chai'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../adapters/embedded-postgres/start.ts'
import { migrateAll } from '../../src/migrate.ts'
import { portToKeep } from '../support/ports.ts'
import { creates } from './support/creates.ts'
import { eventually } from './support/eventually.ts'
import { allRunOnce, ledgerAgent } from './support/ledger-agent.ts'
import { scene } from './support/scene.ts'
import { enrol, server } from './support/streamspace.ts'

describe('a database that is restarted under load', function () {
  this.timeout(180_000)
  const here = scene('each')

  /** A fast stop waits for nobody, an immediate one writes nothing, a kill does neither: then there is a recovery. */
  const restarts = {
    'in order': async (running: EmbeddedPostgres, again: () => Promise<EmbeddedPostgres>) => {
      await running.stop()
      return again()
    },
    'at once': async (running: EmbeddedPostgres) => killed(running, 'SIGQUIT'),
    'by kill -9': async (running: EmbeddedPostgres) => killed(running, 'SIGKILL'),
  }

  /** It is started again by whoever looks after it. */
  const killed = async (running: EmbeddedPostgres, signal: NodeJS.Signals): Promise<EmbeddedPostgres> => {
    const { pid } = running
    process.kill(pid, signal)
    await eventually(() => expect(running.pid).not.to.equal(pid))
    return running
  }

  for (const [how, restart] of Object.entries(restarts))
    it(`${how}: only 503s meanwhile, agents keep their sockets, lanes go on, nothing is lost`, async () => {
      const dataDir = join(await here.folder(), 'pg')
      const port = Number(await portToKeep())
      let database = await startEmbeddedPostgres({ dataDir, port, onLog: () => {} })
      here.finally(() => database.stop())
      await migrateAll(database.url, () => {})
      const control = await server(here, database.url)
      const agents = await Promise.all(
        ['edge-1', 'edge-2'].map(async (id) =>
          ledgerAgent(here, { id, token: await enrol(control.rest, id), url: control.url }),
        ),
      )
      const epochs = async () => (await control.rest.all('/agents')).map(({ id, epoch }) => [id, epoch])
      const before = await epochs()
      const load = creates(control.rest, { template: 'hello-web' })
      here.finally(load.end)
      for (let round = 0; round < 2; round += 1) {
        await load.more(30)
        database = await restart(database, () => startEmbeddedPostgres({ dataDir, port, onLog: () => {} }))
        await load.more(30)
      }
      await load.end()
      console.log(
        `      ${load.promised.length} promised, ${load.unavailable()} × 503, longest pause ${Math.round(load.longestGap())} ms`,
      )
      expect(load.failed(), 'calls that failed otherwise').to.deep.equal([])
      await allRunOnce(control.rest, load.promised, agents)
      expect(await epochs(), 'no agent was welcomed anew').to.deep.equal(before)
      expect(control.program.ended()).to.equal(null)
    })
})
