/** Repairs in a row: counted by the command of the generation, and waiting as their restart policy says. */
import { expect } from 'chai'
import type { SessionId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import { restart } from '../../../domain/session/decide.ts'
import { repair } from '../../../domain/session/repair.ts'
import type { Session } from '../../../domain/session/session.ts'
import { reconcileInventory } from '../../../src/usecases/reconcile-inventory.ts'
import { letGo } from '../../support/locks.ts'
import {
  aDraft,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandsOf,
  commit,
  connected,
  ids,
  on,
  openStores,
  reported,
  right,
  theSession,
  timeouts,
} from '../../support/rows.ts'

describe('repairs in a row', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  const nothingLeft = (peer: Peer) =>
    reconcileInventory({
      inventories: stores.inventories,
      sessions: stores.sessions,
      reports: stores.reports,
      wake: { agents: () => {} },
      clock: { now: () => new Date() },
      ids,
      timeouts,
      capacityFreed: () => {},
      reconcileOrphans: async () => 'accepted',
    })(peer, [], new Set())

  const runs = async (peer: Peer, id: SessionId): Promise<Session> => {
    const session = await theSession(stores, id)
    await stores.reports.write([aWrite(peer, reported(session, peer, 'running'), { doneUpTo: session.generation })])
    return theSession(stores, id)
  }

  const aRunning = async (peer: Peer): Promise<Session> => {
    const { spec } = aDraft()
    const { id } = await aSessionOn(stores, peer.agentId, { spec: { ...spec, restart: { policy: 'always' } } })
    return runs(peer, id)
  }

  /** Removed, repaired and running again, so many times. */
  const repaired = async (peer: Peer, times: number): Promise<Session> => {
    let session = await aRunning(peer)
    for (let nth = 1; nth <= times; nth++) {
      await nothingLeft(peer)
      session = await runs(peer, session.id)
    }
    return session
  }

  const countOf = async ({ id, generation }: Session) =>
    (await stores.reports.repairsSoFar([{ id, generation }])).get(id) ?? 0
  const lastCommandOf = async (id: SessionId) => (await commandsOf(stores, id)).at(-1)
  const dueOf = async (peer: Peer) => (await stores.due(peer, 10, [])).map(({ sessionId }) => sessionId)

  it('are three by default, and then the session is failed', async () => {
    const peer = await anAgent(stores, { id: 'three-times' })
    const session = await repaired(peer, 3)
    expect(await countOf(session)).to.equal(3)
    await nothingLeft(peer)
    expect(await theSession(stores, session.id)).to.include({
      status: 'failed',
      statusReason: 'restart_limit',
      generation: 4,
      reservedOn: null,
    })
    await nothingLeft(peer)
    expect((await theSession(stores, session.id)).generation, 'the next list changes nothing').to.equal(4)
  })

  it('begin anew with what a person asks', async () => {
    const peer = await anAgent(stores, { id: 'asked-in-between' })
    const session = await repaired(peer, 3)
    await commit(stores, right(restart(session, on(peer.agentId), anIntent())))
    const again = await runs(peer, session.id)
    expect(await countOf(again)).to.equal(0)
    await nothingLeft(peer)
    expect(await theSession(stores, session.id)).to.include({ status: 'scheduling', generation: 6 })
    expect((await theSession(stores, session.id)).statusMessage).to.include('(1 of 3)')
  })

  it('the first is due at once, the second waits, and says until when', async () => {
    const peer = await anAgent(stores, { id: 'waits' })
    const first = await aRunning(peer)
    await nothingLeft(peer)
    expect(await dueOf(peer)).to.deep.equal([first.id])
    await runs(peer, first.id)
    await nothingLeft(peer)
    expect(await dueOf(peer)).to.deep.equal([])
    const { next_attempt_at: due, created_at: made } = (await lastCommandOf(first.id)) as {
      next_attempt_at: Date
      created_at: Date
    }
    expect(due.getTime() - made.getTime()).to.be.within(1_900, 10_000)
    expect((await theSession(stores, first.id)).statusMessage).to.include('starting in 2 s')
  })

  it('whoever connects, and whatever list comes, the wait is the wait; then it is due', async () => {
    const peer = await anAgent(stores, { id: 'still-waits' })
    const { id } = await repaired(peer, 1)
    await nothingLeft(peer)
    // An hour, so that a slow machine shows the same.
    await stores.ask(
      `UPDATE outbox SET next_attempt_at = now() + interval '1 hour' WHERE session_id = $1 AND generation = 3`,
      id,
    )
    const fresh = await connected(stores, peer.agentId)
    expect(await dueOf(fresh)).to.deep.equal([])
    await nothingLeft(fresh)
    expect(await dueOf(fresh)).to.deep.equal([])
    await stores.ask(`UPDATE outbox SET next_attempt_at = now() WHERE session_id = $1 AND generation = 3`, id)
    await stores.duties.endBackOffs(1_000)
    expect(await dueOf(fresh)).to.deep.equal([id])
  })

  it('a wait that is over is over for who connects', async () => {
    const peer = await anAgent(stores, { id: 'has-waited' })
    const { id } = await repaired(peer, 1)
    await nothingLeft(peer)
    await stores.ask(
      `UPDATE outbox SET next_attempt_at = now() - interval '1 second' WHERE session_id = $1 AND generation = 3`,
      id,
    )
    expect(await dueOf(await connected(stores, peer.agentId))).to.deep.equal([id])
  })

  it('of two lists at once that say the same one repairs', async () => {
    const peer = await anAgent(stores, { id: 'twice-at-once' })
    for (let round = 0; round < 5; round++) {
      const { id } = await repaired(peer, 1)
      expect(await Promise.all([nothingLeft(peer), nothingLeft(peer)])).to.deep.equal(['accepted', 'accepted'])
      const session = await theSession(stores, id)
      expect([session.generation, await countOf(session)]).to.deep.equal([3, 2])
      expect(await commandsOf(stores, id)).to.have.length(3)
      await stores.ask(`UPDATE sessions SET status = 'failed' WHERE agent_id = $1`, peer.agentId)
    }
  })

  it('a repair that was decided on an older count meets another revision and is nothing', async () => {
    const peer = await anAgent(stores, { id: 'older-count' })
    const session = await repaired(peer, 1)
    await nothingLeft(peer)
    const late = repair(session, 0, anIntent())
    expect((await stores.reports.repair(peer, [late])).repaired).to.deep.equal([])
    expect(await countOf(await theSession(stores, session.id))).to.equal(2)
  })
})
