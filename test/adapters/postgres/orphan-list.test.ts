import { expect } from 'chai'
import { orderOf } from '../../../adapters/postgres/order.ts'
import { orphansIn, presentOrphansIn } from '../../../adapters/postgres/orphan-queries.ts'
import { presentStates } from '../../../domain/agent/orphan.ts'
import { explain, planned } from '../../support/explain.ts'
import { ACME, anAgent, openStores, type Stores } from '../../support/rows.ts'

const ENDED = 100_000
const newest = orderOf('-firstSeenAt')

describe('the list of an agent’s orphans, of which a hundred thousand have ended', function () {
  this.timeout(120_000)
  let stores: Stores
  before(async () => {
    stores = await openStores()
    await anAgent(stores, { id: 'untidy' })
    // Those that are there are the oldest: a walk along ids meets all the others first.
    await stores.ask(
      `INSERT INTO orphans (agent_id, org_id, session_id, generation, status, reason, state, ended_at)
       SELECT 'untidy', $1, gen_random_uuid(), 1, 'stopped', 'unknown', CASE WHEN n <= 5 THEN 'seen' ELSE 'gone' END,
              CASE WHEN n > 5 THEN now() END
         FROM generate_series(1, ${ENDED + 5}) AS n`,
      ACME,
    )
    await stores.ask('VACUUM ANALYZE orphans')
  })
  after(() => stores.close())

  const values = ['untidy', ACME, [...presentStates], Number.MAX_SAFE_INTEGER, 51]

  for (const plan of ['custom', 'generic'] as const)
    it(`reads what is there alone (${plan} plan)`, async () => {
      const present = await explain(stores.url, presentOrphansIn(newest), values, [planned(plan)])
      expect(present.indexes, present.text).to.deep.equal(['orphans_present'])
      expect(present.buffers, present.text).to.be.at.most(10)
      const any = await explain(stores.url, orphansIn(newest), values, [planned(plan)])
      expect(any.buffers, 'what the index is for').to.be.above(1_000)
    })

  it('is the same list', async () => {
    const agent = await stores.agents.get(ACME, 'untidy' as never)
    if (agent === null) throw new Error('the agent is not there')
    const page = { limit: 3, cursor: null }
    const first = await stores.orphans.list(agent, [...presentStates], page)
    const second = await stores.orphans.list(agent, [...presentStates], { ...page, cursor: first.nextCursor })
    expect([first.items.length, second.items.length, second.nextCursor]).to.deep.equal([3, 2, null])
    const mixed = await stores.orphans.list(agent, [...presentStates, 'gone'], page)
    expect(mixed.items.map(({ state }) => state)).to.deep.equal(['gone', 'gone', 'gone'])
  })
})
