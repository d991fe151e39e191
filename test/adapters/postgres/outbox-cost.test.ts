import { expect } from 'chai'
import pg from 'pg'
import { AGENTS_WITH_DUE_COMMANDS, END_BACK_OFFS, GIVE_UP } from '../../../adapters/postgres/duties.ts'
import { DUE, MAX_UNACKED } from '../../../adapters/postgres/outbox.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import { buffersOf, CALLED_BEFORE, explain, explainPrepared, planned } from '../../support/explain.ts'
import { manyCommands, manySessions } from '../../support/many-rows.ts'
import { agentNamed, anAgent, aSessionOn, openStores, type Stores } from '../../support/rows.ts'

const WAITING = 100_000
const RESTING = 20_000
const DEAD = 20_000
const OTHER_AGENTS = 10
const READ_AT_ONCE = 8
const MOST_BUFFERS = 50

const readOf = ({ agentId, epoch }: Peer) => [[agentId], [epoch], [], [READ_AT_ONCE], [0], [1], [0]]

/** Statements that lanes and sweeps run again and again must not pay for what waits for someone else. */
describe('reading the outbox', function () {
  this.timeout(120_000)
  let stores: Stores
  let peer: Peer

  const finished = (count: number) =>
    stores.ask(
      `UPDATE outbox SET status = 'done', finished_at = now() WHERE id IN (SELECT id FROM outbox ORDER BY id DESC LIMIT ${count})`,
    )
  const anyAgent = `CASE n % 300 WHEN 0 THEN 'alive' ELSE 'gone-' || n % 300 END`

  before(async () => {
    stores = await openStores()
    peer = await anAgent(stores, { id: 'alive' })
    await stores.ask('ALTER TABLE outbox SET (autovacuum_enabled = false)')
    await manySessions(stores, 20_000)
    await manyCommands(stores, WAITING, { agent_id: `'gone-' || n % 300` })
    await manyCommands(stores, RESTING, { agent_id: anyAgent, next_attempt_at: `now() + interval '1 hour'` })
    await manyCommands(stores, DEAD, { agent_id: anyAgent })
    await finished(DEAD)
    for (let n = 0; n < 2 * READ_AT_ONCE; n += 1) await aSessionOn(stores, peer.agentId)
    await stores.ask('ANALYZE')
  })
  after(() => stores.close())

  const staysCheap = (
    others: string,
    statements: { readonly [what: string]: () => readonly [string, readonly unknown[]] },
  ) => {
    for (const plan of ['custom', 'generic'])
      describe(`of ${others}, with a ${plan} plan`, () => {
        for (const [what, statement] of Object.entries(statements))
          it(`${what}: at most ${MOST_BUFFERS} buffers, and no scan of the table`, async () => {
            const before = [planned(plan), CALLED_BEFORE]
            const { buffers, scanned, text } = await explain(stores.url, ...statement(), before)
            if (buffers > MOST_BUFFERS || scanned.includes('outbox')) expect.fail(`${buffers} buffers: ${text}`)
          })
      })
  }
  const due = () => [DUE, readOf(peer)] as const
  const agentsWithDue = () => [AGENTS_WITH_DUE_COMMANDS, [10_000]] as const

  staysCheap(`${WAITING + RESTING + DEAD} rows for others`, {
    'what is due for a lane': due,
    'which agents have something due': agentsWithDue,
    'whose back-off is over': () => [END_BACK_OFFS, [500]],
    'what is given up': () => [GIVE_UP, [500, MAX_UNACKED]],
  })

  // PostgreSQL thinks that every agent has a third of the table: it then expects to find some of them anywhere in it.
  describe('when nearly all that is known of the table is one dead agent', () => {
    before(async () => {
      await stores.ask(`DELETE FROM outbox WHERE agent_id <> 'alive'`)
      await manyCommands(stores, WAITING, { agent_id: `'gone'` })
      for (let n = 0; n < 2 * READ_AT_ONCE; n += 1) await aSessionOn(stores, peer.agentId)
      await anAgent(stores, { id: 'idle' })
      for (let n = 0; n < OTHER_AGENTS; n += 1) await anAgent(stores, { id: `other-${n}` })
      await stores.ask('VACUUM ANALYZE')
    })
    staysCheap(`${WAITING} rows for one agent`, {
      'what is due for a lane': due,
      'what is due for a lane that has nothing': () => [DUE, readOf({ agentId: agentNamed('idle'), epoch: 1 })],
      'which agents have something due': agentsWithDue,
    })
  })

  it('looks at each finished row of the lane’s own agent once, and then no more', async () => {
    const own = await anAgent(stores, { id: 'busy' })
    await manyCommands(stores, 8_000, { agent_id: `'busy'` })
    await finished(8_000)
    for (let n = 0; n < READ_AT_ONCE; n += 1) await aSessionOn(stores, own.agentId)
    const read = async () => (await explain(stores.url, DUE, readOf(own), [CALLED_BEFORE])).buffers
    const [first, second] = [await read(), await read()]
    expect(first).to.be.greaterThan(second)
    // What is left are the pages of the index, until it is vacuumed.
    expect(second).to.be.at.most(2 * MOST_BUFFERS)
    await stores.ask('VACUUM outbox')
    expect(await read()).to.be.at.most(MOST_BUFFERS)
  })
})

/** A plan costs half a millisecond, several times what the read itself does; and the one that is kept has to be right when all has changed. */
describe('reading the outbox on a connection that has done so when it was empty', function () {
  this.timeout(120_000)
  let stores: Stores
  let peer: Peer
  let connection: pg.Client

  before(async () => {
    stores = await openStores()
    peer = await anAgent(stores, { id: 'alive' })
    await stores.ask('ALTER TABLE outbox SET (autovacuum_enabled = false)')
    await stores.ask('VACUUM ANALYZE')
    connection = new pg.Client({ connectionString: stores.url })
    await connection.connect()
    await read(10)
    await manyCommands(stores, WAITING, { agent_id: `'gone'` })
    for (let n = 0; n < 2 * READ_AT_ONCE; n += 1) await aSessionOn(stores, peer.agentId)
  })
  after(async () => {
    await connection.end()
    await stores.close()
  })
  const read = async (times: number) => {
    for (let reads = 0; reads < times; reads += 1)
      await connection.query({ name: 'due', text: DUE, values: [...readOf(peer)] })
  }
  const staysCheap = async () => {
    const { rows } = await connection.query(explainPrepared('due', readOf(peer)))
    expect(buffersOf(rows[0]['QUERY PLAN'][0])).to.be.at.most(MOST_BUFFERS)
  }

  it('stays cheap, before anything is known of what has come', staysCheap)

  it('stays cheap when it is known that nearly all of it is for one dead agent', async () => {
    await stores.ask('VACUUM ANALYZE')
    await read(1)
    await staysCheap()
  })

  it('was planned for its values no more often than it has to be', async () => {
    await read(20)
    const { rows } = await connection.query('SELECT custom_plans::int AS planned FROM pg_prepared_statements')
    expect(rows).to.deep.equal([{ planned: 5 }])
  })
})
