import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import type { AgentId, SessionId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { InventoryEntry } from '../../../domain/ports/delivery.ts'
import { remove, stop } from '../../../domain/session/decide.ts'
import { repair } from '../../../domain/session/repair.ts'
import type { Session } from '../../../domain/session/session.ts'
import { reconcileInventory } from '../../../src/usecases/reconcile-inventory.ts'
import { holding, isFree, letGo, lockWaits } from '../../support/locks.ts'
import {
  ACME,
  aDraft,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandsOf,
  commit,
  connected,
  GLOBEX,
  heldOn,
  ids,
  openStores,
  reported,
  right,
  TTL_MS,
  theSession,
  timeouts,
} from '../../support/rows.ts'

describe('inventories of connections that are replaced', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  const woken: AgentId[] = []
  const reconciling = (peer: Peer, inventory: readonly InventoryEntry[]) =>
    reconcileInventory({
      inventories: stores.inventories,
      sessions: stores.sessions,
      reports: stores.reports,
      wake: { agents: (agentIds) => woken.push(...agentIds) },
      clock: { now: () => new Date() },
      ids,
      timeouts,
      capacityFreed: () => {},
      reconcileOrphans: async () => 'accepted',
    })(peer, inventory, new Set())

  const restarts = () => {
    const { spec } = aDraft()
    return { spec: { ...spec, restart: { policy: 'always' as const } } }
  }

  /** Running as asked, its command done. */
  const aRunning = async (peer: Peer, overrides: Partial<Session> = {}): Promise<Session> => {
    const session = await aSessionOn(stores, peer.agentId, overrides)
    await stores.reports.write([aWrite(peer, reported(session, peer, 'running'), { doneUpTo: 1 })])
    return theSession(stores, session.id)
  }

  const statusesOf = async (id: SessionId) => (await commandsOf(stores, id)).map(({ status }) => status)

  /** Someone connects as this agent, and is not done yet. */
  const connecting = (peer: Peer) =>
    holding(stores.url, ['UPDATE agent_leases SET epoch = epoch + 1 WHERE agent_id = $1', peer.agentId])

  it('a repair that had to wait for a new connection repairs nothing', async () => {
    const peer = await anAgent(stores, { id: 'repair-fenced' })
    const session = await aRunning(peer, restarts())
    const newer = await connecting(peer)
    woken.length = 0
    const answer = reconciling(peer, [])
    await lockWaits(stores.ask, 1)
    await newer.release()
    expect(await answer).to.equal('fenced')
    expect(await theSession(stores, session.id)).to.deep.equal(session)
    expect(await statusesOf(session.id)).to.deep.equal(['done'])
    expect(woken).to.deep.equal([])
  })

  it('a redelivery that had to wait for a new connection makes nothing due', async () => {
    const peer = await anAgent(stores, { id: 'redelivery-fenced' })
    const session = await aSessionOn(stores, peer.agentId)
    await stores.ask(`UPDATE outbox SET status = 'done' WHERE session_id = $1`, session.id)
    const newer = await connecting(peer)
    woken.length = 0
    const answer = reconciling(peer, [])
    await lockWaits(stores.ask, 1)
    await newer.release()
    await answer
    expect(await theSession(stores, session.id)).to.deep.equal(session)
    expect(await statusesOf(session.id)).to.deep.equal(['done'])
    expect(woken).to.deep.equal([])
  })

  it('what an older connection had last is nothing once the newer one is there', async () => {
    const old = await anAgent(stores, { id: 'late-inventory' })
    const ran = await aRunning(old, restarts())
    const starting = await aSessionOn(stores, old.agentId)
    const fresh = await connected(stores, old.agentId)
    expect(await reconciling(old, [])).to.equal('fenced')
    expect(await theSession(stores, ran.id)).to.deep.equal(ran)
    expect(await theSession(stores, starting.id)).to.deep.equal(starting)
    // The newer one says the same, and it counts.
    expect(await reconciling(fresh, [])).to.equal('accepted')
    expect((await theSession(stores, ran.id)).generation).to.equal(2)
    expect(await statusesOf(ran.id)).to.deep.equal(['done', 'pending'])
  })

  it('a new connection waits for a repair of the older one, and then has its command due', async () => {
    const old = await anAgent(stores, { id: 'repair-first' })
    const session = await aRunning(old, restarts())
    const inTheWay = await holding(stores.url, ['SELECT FROM sessions WHERE id = $1 FOR UPDATE', session.id])
    const answer = reconciling(old, [])
    await lockWaits(stores.ask, 1)
    const newer = connected(stores, old.agentId)
    await lockWaits(stores.ask, 2)
    await inTheWay.release()
    expect(await answer).to.equal('accepted')
    const due = await stores.due(await newer, 10, [])
    expect(due.map(({ sessionId, generation }) => [sessionId, generation])).to.deep.equal([[session.id, 2]])
  })

  it('many repairs are one statement: rows, events and commands, and what is older superseded', async () => {
    const peer = await anAgent(stores, { id: 'many-repairs' })
    const sessions = await Promise.all([1, 2, 3].map(() => aRunning(peer, restarts())))
    await stores.ask(`UPDATE outbox SET status = 'pending' WHERE session_id = $1`, sessions[0]?.id)
    woken.length = 0
    await reconciling(peer, [])
    for (const session of sessions) {
      const fresh = await theSession(stores, session.id)
      expect(fresh).to.deep.include({
        generation: 2,
        version: session.version + 1,
        revision: session.revision + 1,
        status: 'scheduling',
        statusReason: 'restarting',
        reservedOn: peer.agentId,
      })
      const [before, command] = await commandsOf(stores, session.id)
      expect(before?.status).to.equal(session === sessions[0] ? 'superseded' : 'done')
      expect(command).to.deep.include({ status: 'pending', type: 'start_session', generation: 2 })
      expect(command?.payload).to.deep.equal({ state: 'running', incarnation: 0, repair: 1 })
      expect(command?.expires_at.getTime()).to.equal(fresh.updatedAt.getTime() + TTL_MS)
      const [last] = await stores.ask(
        'SELECT type, actor, generation FROM session_events WHERE session_id = $1 ORDER BY id DESC LIMIT 1',
        session.id,
      )
      expect(last).to.deep.equal({ type: 'repair_requested', actor: 'reconciler', generation: 2 })
    }
    expect(woken).to.deep.equal([peer.agentId])
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal(await heldOn(stores, peer.agentId))
  })

  it('what the agent called superseded, and shows nothing of, is asked again above everything it can know', async () => {
    const peer = await anAgent(stores, { id: 'outpaced' })
    const [ending, starting, waiting] = await Promise.all([1, 2, 3].map(() => aSessionOn(stores, peer.agentId)))
    if (!ending || !starting || !waiting) throw new Error('there are three')
    await commit(stores, right(remove(ending, anIntent())))
    await stores.ask(`UPDATE outbox SET status = 'superseded' WHERE session_id = ANY($1) AND status = 'pending'`, [
      ending.id,
      starting.id,
    ])
    const allocated = await allocatedOn(stores, peer.agentId)
    expect(await reconciling(peer, [])).to.equal('accepted')
    expect(await theSession(stores, ending.id)).to.deep.include({ generation: 1_002, status: 'deleting' })
    expect(await theSession(stores, starting.id)).to.deep.include({ generation: 1_001, status: 'scheduling' })
    expect(await theSession(stores, waiting.id)).to.deep.include({ generation: 1, status: 'scheduling' })
    expect((await commandsOf(stores, ending.id)).at(-1)).to.deep.include({ status: 'pending', type: 'delete_session' })
    expect((await commandsOf(stores, starting.id)).at(-1)).to.deep.include({ status: 'pending', type: 'start_session' })
    expect(await statusesOf(waiting.id)).to.deep.equal(['pending'])
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal(allocated)
    // A second inventory of the same finds the new commands on their way, and asks no further.
    await reconciling(peer, [])
    expect(await theSession(stores, starting.id)).to.deep.include({ generation: 1_001 })
  })

  it('what the agent called done, and still has at that very generation, is asked again above it', async () => {
    const peer = await anAgent(stores, { id: 'denied' })
    const [stopping, deleting] = await Promise.all([1, 2].map(() => aRunning(peer)))
    if (!stopping || !deleting) throw new Error('there are two')
    await commit(stores, right(stop(stopping, anIntent())))
    await commit(stores, right(remove(deleting, anIntent())))
    await stores.ask(`UPDATE outbox SET status = 'done' WHERE agent_id = $1 AND status = 'pending'`, peer.agentId)
    await stores.ask('UPDATE sessions SET deleted_at = now(), reserved_on = NULL WHERE id = $1', deleting.id)
    const running = [stopping, deleting].map(({ id }) => ({ sessionId: id, generation: 2, status: 'running' as const }))
    expect(await reconciling(peer, running)).to.equal('accepted')
    expect(await theSession(stores, stopping.id)).to.deep.include({ generation: 1_002, status: 'stopping' })
    const tombstone = await theSession(stores, deleting.id)
    expect(tombstone).to.deep.include({ generation: 1_002, status: 'deleting' })
    expect(tombstone?.deletedAt).to.not.equal(null)
    for (const [{ id }, type] of [
      [stopping, 'stop_session'],
      [deleting, 'delete_session'],
    ] as const)
      expect((await commandsOf(stores, id)).at(-1)).to.deep.include({ status: 'pending', type, generation: 1_002 })
  })

  it('what was asked on this connection stands against what the agent has from a history that was lost', async () => {
    const peer = await anAgent(stores, { id: 'ahead' })
    const [before, since] = await Promise.all([1, 2].map(() => aRunning(peer)))
    if (!before || !since) throw new Error('there are two')
    for (const session of [before, since]) await commit(stores, right(stop(session, anIntent())))
    await stores.ask(`UPDATE sessions SET waiting_since = now() - interval '1 hour' WHERE id = $1`, before.id)
    const entries = [before, since].map(({ id }) => ({ sessionId: id, generation: 9, status: 'running' as const }))
    expect(await reconciling(peer, entries)).to.equal('accepted')
    expect(await theSession(stores, before.id)).to.deep.include({ generation: 9, status: 'running' })
    expect(await theSession(stores, since.id)).to.deep.include({ generation: 1_009, status: 'stopping' })
    expect((await commandsOf(stores, since.id)).at(-1)).to.deep.include({ status: 'pending', type: 'stop_session' })
  })

  it('what was asked after a restore that showed stands on later connections too, until the restore is over', async () => {
    const agentId = (await anAgent(stores, { id: 'twice-ahead' })).agentId
    const [asked, older] = await Promise.all([1, 2].map(() => aRunning({ agentId, epoch: 1 })))
    if (!asked || !older) throw new Error('there are two')
    await connected(stores, agentId, { lastEpoch: 40 })
    for (const session of [asked, older]) await commit(stores, right(stop(session, anIntent())))
    await stores.ask(`UPDATE sessions SET waiting_since = now() - interval '1 hour' WHERE id = $1`, older.id)
    const entries = [asked, older].map(({ id }) => ({ sessionId: id, generation: 9, status: 'running' as const }))
    const askedSince = async () => stores.reports.askedSince(await connected(stores, agentId), [asked.id, older.id])
    expect(await askedSince()).to.deep.equal(new Set([asked.id]))
    await stores.orphans.resumeOrg(ACME, 'operator')
    expect(await askedSince()).to.deep.equal(new Set())
    await stores.orphans.haltOrg(GLOBEX, 'operator')
    expect(await askedSince()).to.deep.equal(new Set())
    await stores.orphans.halt('operator')
    expect(await reconciling(await connected(stores, agentId), entries)).to.equal('accepted')
    expect(await theSession(stores, asked.id)).to.deep.include({ generation: 1_009, status: 'stopping' })
    expect(await theSession(stores, older.id)).to.deep.include({ generation: 9, status: 'running' })
    await stores.orphans.resume('operator')
  })

  it('a second restore that does not show is known by what was made after the first', async () => {
    const agentId = (await anAgent(stores, { id: 'restored-twice' })).agentId
    await connected(stores, agentId, { lastEpoch: 40 })
    const [before, made] = await Promise.all([1, 2].map(() => aRunning({ agentId, epoch: 41 })))
    if (!before || !made) throw new Error('there are two')
    await stores.ask(`UPDATE sessions SET created_at = now() - interval '1 hour' WHERE id = $1`, before.id)
    await stores.ask('UPDATE sessions SET created_at = now() WHERE id = $1', made.id)
    for (const session of [before, made]) await commit(stores, right(stop(session, anIntent())))
    await stores.ask('UPDATE sessions SET waiting_since = now() WHERE id = ANY($1)', [before.id, made.id])
    const askedSince = async (...ids: SessionId[]) => stores.reports.askedSince(await connected(stores, agentId), ids)
    expect(await askedSince(before.id), 'by itself it may be of the first').to.deep.equal(new Set([before.id]))
    expect(await askedSince(before.id, made.id)).to.deep.equal(new Set())
    await stores.ask('UPDATE sessions SET waiting_since = now() WHERE id = $1', made.id)
    expect(await askedSince(made.id), 'what was asked after the second stands').to.deep.equal(new Set([made.id]))
    await stores.orphans.resume('operator')
  })

  it('a repair writes all that its decision changes', async () => {
    const peer = await anAgent(stores, { id: 'whole-repair' })
    const session = await aRunning(peer, restarts())
    const decision = repair(session, 0, anIntent())
    expect(await stores.reports.repair(peer, [decision])).to.deep.equal({ fenced: false, repaired: [session.id] })
    expect(await theSession(stores, session.id)).to.deep.equal(decision.session)
  })

  const order = ['agent_leases', 'sessions', 'outbox'] as const
  for (const [index, at] of order.entries())
    it(`a repair held at ${at} has ${order.slice(0, index).join(', ') || 'nothing'} and nothing beyond`, async () => {
      const peer = await anAgent(stores, { id: `repair-locks-${at}` })
      const session = await aRunning(peer, restarts())
      await stores.ask(`UPDATE outbox SET status = 'pending' WHERE session_id = $1`, session.id)
      const keys = { agent_leases: peer.agentId, sessions: session.id, outbox: session.id } as const
      const columns = { agent_leases: 'agent_id', sessions: 'id', outbox: 'session_id' } as const
      const held = await holding(stores.url, [`SELECT FROM ${at} WHERE ${columns[at]} = $1 FOR UPDATE`, keys[at]])
      const repairing = stores.reports.repair(peer, [repair(session, 0, anIntent())])
      await lockWaits(stores.ask, 1)
      const free = await Promise.all(order.map((place) => isFree(stores.url, place, columns[place], keys[place])))
      expect(free).to.deep.equal(order.map((_, place) => place > index))
      await held.release()
      expect((await repairing).repaired).to.deep.equal([session.id])
    })

  it('a repair of what somebody asked something else of meanwhile is left out, and the others are made', async () => {
    const peer = await anAgent(stores, { id: 'asked-meanwhile' })
    const [asked, other] = await Promise.all([aRunning(peer, restarts()), aRunning(peer, restarts())])
    const row = await holding(stores.url, ['SELECT FROM sessions WHERE id = $1 FOR UPDATE', asked.id])
    const stopping = commit(stores, right(stop(asked, anIntent())))
    await lockWaits(stores.ask, 1)
    const answer = reconciling(peer, [])
    await lockWaits(stores.ask, 2)
    await row.release()
    await stopping
    expect(await answer).to.equal('accepted')
    expect(await theSession(stores, asked.id)).to.deep.include({ generation: 2, desiredState: 'stopped' })
    expect((await theSession(stores, other.id)).status).to.equal('scheduling')
  })

  it('an intent that meets a repair has to decide again', async () => {
    const peer = await anAgent(stores, { id: 'repair-and-intent' })
    const session = await aRunning(peer, restarts())
    await stores.ask(`UPDATE outbox SET status = 'pending' WHERE session_id = $1`, session.id)
    const older = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
    const answer = reconciling(peer, [])
    await lockWaits(stores.ask, 1)
    const removing = stores.unitOfWork.commit(right(remove(session, anIntent())))
    await lockWaits(stores.ask, 2)
    await older.release()
    expect([await answer, await removing]).to.deep.equal(['accepted', E.left({ _tag: 'Conflict' })])
    expect(await statusesOf(session.id)).to.deep.equal(['superseded', 'pending'])
  })
})
