/** A primary that dies and a standby that is promoted: the same server goes on, on the other host. */
import { join } from 'node:path'
import { expect } from 'chai'
import { migrateAll } from '../../src/migrate.ts'
import { type PostgresPair, type Replication, startPostgresPair } from '../support/postgres-pair.ts'
import { creates } from './support/creates.ts'
import { allRunOnce, ledgerAgent } from './support/ledger-agent.ts'
import { scene } from './support/scene.ts'
import { enrol, server } from './support/streamspace.ts'

/** From the death of the primary, the time that somebody takes to promote included. */
const RESUME_WITHIN_MS = 10_000

describe('a database that fails over', function () {
  this.timeout(180_000)
  const here = scene('each')

  const onPair = async (replication: Replication) => {
    const pair: PostgresPair = await startPostgresPair(join(await here.folder(), 'pair'), replication, (url) =>
      migrateAll(url, () => {}),
    )
    here.finally(pair.stop)
    const control = await server(here, pair.url)
    const token = await enrol(control.rest, 'edge-1')
    const agent = await ledgerAgent(here, { id: 'edge-1', token, url: control.url })
    const epoch = async (): Promise<number> => (await control.rest.get('/agents/edge-1')).body.epoch
    const before = await epoch()
    const load = creates(control.rest, { template: 'hello-web' })
    here.finally(load.end)
    await load.more(40)
    return { pair, control, agent, load, before, epoch }
  }

  const says = (what: string): void => console.log(`      ${what}`)

  for (const [how, end] of [
    ['dies', (pair: PostgresPair) => pair.killPrimary()],
    ['falls silent', (pair: PostgresPair) => pair.freezePrimary()],
  ] as const)
    it(`whose primary ${how}: writes resume within 10 s, nothing is lost, agents keep their sockets`, async () => {
      const { pair, control, agent, load, before, epoch } = await onPair('synchronous')
      const began = performance.now()
      await end(pair)
      await pair.promoteStandby()
      await load.more(1)
      const resumed = performance.now() - began
      await load.more(40)
      await load.end()
      says(
        `writes resumed after ${(resumed / 1000).toFixed(1)} s: ${load.promised.length} promised, ${load.unavailable()} × 503`,
      )
      expect(resumed).to.be.below(RESUME_WITHIN_MS)
      expect(load.failed(), 'calls that failed otherwise').to.deep.equal([])
      await allRunOnce(control.rest, load.promised, [agent])
      expect(await epoch(), 'the agent was never welcomed anew').to.equal(before)
      expect(control.program.ended()).to.equal(null)
    })
})
