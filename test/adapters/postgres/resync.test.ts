/** An agent with thousands of sessions comes back: what a whole inventory costs here, printed, and its statements counted. */
import { expect } from 'chai'
import type { Database } from '../../../adapters/postgres/pool.ts'
import type { SessionId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { InventoryEntry, WireReport } from '../../../domain/ports/delivery.ts'
import { reconcileInventory } from '../../../src/usecases/reconcile-inventory.ts'
import { manySessions } from '../../support/many-rows.ts'
import { allocatedOn, anAgent, heldOn, ids, openStores, PLENTY, storesOver, timeouts } from '../../support/rows.ts'

const SESSIONS = 5_000
const SPEC = `'{"process": {"command": ["node", "server.js"]}, "restart": {"policy": "always"},
  "resources": {"cpuMillis": 5, "memoryMib": 5}, "env": {"TITLE": "A title of some length", "THEME": "dark"}}'`

describe('an agent with 5,000 sessions', function () {
  this.timeout(120_000)
  let stores: Awaited<ReturnType<typeof openStores>>
  let statements: string[]
  before(async () => {
    stores = await openStores()
    statements = []
  })
  after(() => stores.close())

  const counted = (database: Database): Database => ({
    ...database,
    query: (statement) => {
      statements.push(statement.name ?? statement.text)
      return database.query(statement)
    },
  })

  /** The agent, and its sessions in that state, each with the command of its generation. */
  const anAgentWith = async (id: string, columns: { readonly [column: string]: string }, command: string) => {
    const peer = await anAgent(stores, { id, capacity: { ...PLENTY, maxSessions: 10_000 } })
    await manySessions(stores, SESSIONS, {
      agent_id: `'${id}'`,
      reserved_on: `'${id}'`,
      cpu_millis: '5',
      memory_mib: '5',
      spec: SPEC,
      ...columns,
    })
    await stores.ask(
      `INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, status, created_at, expires_at)
       SELECT gen_random_uuid(), org_id, agent_id, id, generation, 'start_session',
              '{"state": "running", "incarnation": 0}', '${command}', now(), now() + interval '1 hour'
         FROM sessions WHERE agent_id = $1`,
      id,
    )
    await stores.ask(
      `UPDATE agents SET allocated_sessions = ${SESSIONS}, allocated_cpu_millis = ${SESSIONS * 5},
              allocated_memory_mib = ${SESSIONS * 5} WHERE id = $1`,
      id,
    )
    await stores.ask('ANALYZE sessions, outbox')
    return peer
  }

  const allWith = async (peer: Peer, said: WireReport): Promise<readonly InventoryEntry[]> =>
    (await stores.ask('SELECT id FROM sessions WHERE agent_id = $1', peer.agentId)).map((row) => ({
      sessionId: row.id as SessionId,
      generation: 1,
      ...said,
    }))

  const resync = async (what: string, peer: Peer, inventory: readonly InventoryEntry[], reads = 2): Promise<void> => {
    const { inventories, sessions, reports } = storesOver(counted(stores.database))
    statements.length = 0
    const began = performance.now()
    const answer = await reconcileInventory({
      inventories,
      sessions,
      reports,
      wake: { agents: () => {} },
      clock: { now: () => new Date() },
      ids,
      timeouts,
      capacityFreed: () => {},
      reconcileOrphans: async () => 'accepted',
    })(peer, inventory, new Set())
    const took = Math.round(performance.now() - began)
    console.log(`      ${what}: ${took} ms, ${statements.length} statements`)
    expect(answer).to.equal('accepted')
    expect(statements).to.have.length.at.most(reads + SESSIONS / 500)
  }

  const statusesOf = async ({ agentId }: Peer) =>
    (
      await stores.ask(
        'SELECT status, generation, count(*)::int AS n FROM sessions WHERE agent_id = $1 GROUP BY 1, 2',
        agentId,
      )
    ).map(({ status, generation, n }) => [status, generation, n])
  const commandsOf = async ({ agentId }: Peer) =>
    (
      await stores.ask(
        'SELECT status, count(*)::int AS n FROM outbox WHERE agent_id = $1 GROUP BY 1 ORDER BY 1',
        agentId,
      )
    ).map(({ status, n }) => [status, n])

  it('that says what the rows say', async () => {
    const peer = await anAgentWith('same', { status: `'running'` }, 'done')
    const inventory = await allWith(peer, { status: 'running' })
    await resync('nothing has changed', peer, inventory)
    expect(await statusesOf(peer)).to.deep.equal([['running', 1, SESSIONS]])
  })

  it('that has started them all meanwhile', async () => {
    const peer = await anAgentWith('started', { status: `'scheduling'`, observed_generation: '0' }, 'pending')
    await resync('all have started', peer, await allWith(peer, { status: 'running' }))
    expect(await statusesOf(peer)).to.deep.equal([['running', 1, SESSIONS]])
    expect(await commandsOf(peer)).to.deep.equal([['done', SESSIONS]])
  })

  it('that has none of those it was to start', async () => {
    const peer = await anAgentWith('lost', { status: `'scheduling'`, observed_generation: '0' }, 'done')
    // Which of them the agent has called superseded is one read more, of all of them.
    await resync('all are asked for again', peer, [], 3)
    expect(await commandsOf(peer)).to.deep.equal([['pending', SESSIONS]])
  })

  it('that has lost what ran, and makes all of it anew', async () => {
    const peer = await anAgentWith('wiped', { status: `'running'` }, 'done')
    // How often each was repaired already is one read more, of all of them.
    await resync('all are repaired', peer, [], 3)
    expect(await statusesOf(peer)).to.deep.equal([['scheduling', 2, SESSIONS]])
    expect(await commandsOf(peer)).to.deep.equal([
      ['done', SESSIONS],
      ['pending', SESSIONS],
    ])
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal(await heldOn(stores, peer.agentId))
  })

  it('whose sessions have all ended', async () => {
    const peer = await anAgentWith(
      'ended',
      { status: `'stopping'`, desired_state: `'stopped'`, observed_generation: '0' },
      'pending',
    )
    await resync('all have stopped', peer, await allWith(peer, { status: 'stopped' }))
    expect(await statusesOf(peer)).to.deep.equal([['stopped', 1, SESSIONS]])
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal([0, 0, 0])
  })
})
