/** A primary that dies and a standby that is promoted: the same server goes on, on the other host. */
import { join } from 'node:path'
import { expect } from 'chai'
import { migrateAll } from '../../src/migrate.ts'
import { eventually } from '../support/eventually.ts'
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

  /** What the clients were promised and nobody knows any more, when everything that is known runs. */
  const lostOf = async ({ control, agent, load }: Awaited<ReturnType<typeof onPair>>): Promise<readonly string[]> => {
    await load.end()
    expect(load.failed(), 'calls that failed otherwise').to.deep.equal([])
    const known = await eventually(async () => {
      const found = await control.rest.all('/sessions?limit=500')
      expect(found.filter(({ status }) => status !== 'running')).to.deep.equal([])
      return new Set(found.map(({ id }) => id))
    })
    expect(agent.platform.violations, 'what an agent may never be told').to.deep.equal([])
    return load.promised.filter((id) => !known.has(id))
  }

  it('to an asynchronous standby loses what had not been sent to it, and nothing else', async () => {
    const all = await onPair('asynchronous')
    const { pair, load } = all
    await load.more(20)
    const sent = load.promised.length
    await pair.standbyHasAll()
    await pair.killPrimary()
    await load.answered()
    const kept = load.promised.length
    await pair.promoteStandby()
    await load.more(20)
    const lost = await lostOf(all)
    says(`killed under load: ${lost.length} of ${kept} promised before were lost`)
    // Only what was promised in the very end can be: what came before had long been sent.
    const atRisk = load.promised.slice(sent, kept)
    expect(lost.filter((id) => !atRisk.includes(id))).to.deep.equal([])
  })

  it('to an asynchronous standby that lags loses its lag; agents keep what was started, and nothing removes it', async () => {
    const all = await onPair('asynchronous')
    const { pair, agent, load } = all
    const before = load.promised.length
    await pair.standbyHasAll()
    await pair.detachStandby()
    // What was on its way may have reached the standby before that.
    await load.answered()
    await load.more(30)
    await pair.killPrimary()
    // What was committed before the kill may be answered after it.
    await load.answered()
    const after = load.promised.length
    await pair.promoteStandby()
    await load.more(20)
    const lost = await lostOf(all)
    says(`lagging: ${lost.length} lost of ${after - before} promised while the standby heard nothing`)
    expect(lost.length).to.be.at.least(30)
    const atRisk = load.promised.slice(before, after)
    expect(lost.filter((id) => !atRisk.includes(id))).to.deep.equal([])
    expect(agent.platform.effects.filter(({ state }) => state === 'deleted')).to.deep.equal([])
  })
})
