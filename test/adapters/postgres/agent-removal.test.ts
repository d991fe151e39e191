import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { forceRemove, remove, start, stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import { holding, isFree, letGo, lockWaits } from '../../support/locks.ts'
import { manySessions } from '../../support/many-rows.ts'
import {
  ACME,
  aCreation,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandsOf,
  commit,
  connected,
  enrolled,
  GLOBEX,
  nowhere,
  ofAcme,
  on,
  openStores,
  reported,
  right,
  type Stores,
  theSession,
} from '../../support/rows.ts'

describe('removing an agent', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  const lastEvent = async (session: Session) =>
    (await stores.ask('SELECT * FROM session_events WHERE session_id = $1 ORDER BY id DESC LIMIT 1', session.id))[0]
  const eventCount = async (session: Session) =>
    (await stores.ask('SELECT count(*) AS n FROM session_events WHERE session_id = $1', session.id))[0].n

  it('without sessions leaves nothing of it', async () => {
    const { agentId } = await anAgent(stores, { id: 'empty' })
    await stores.agents.remove(ofAcme(agentId))
    expect(await stores.agents.get(ACME, agentId)).to.equal(null)
    const rows = await stores.ask(
      `SELECT agent_id FROM agent_leases WHERE agent_id = 'empty' UNION ALL SELECT agent_id FROM agent_liveness WHERE agent_id = 'empty'`,
    )
    expect(rows).to.deep.equal([])
    await stores.agents.remove(ofAcme(agentId))
  })

  it('fails its sessions, and says why', async () => {
    const peer = await anAgent(stores, { id: 'fails' })
    const session = await aSessionOn(stores, peer.agentId)
    const running = reported(session, peer, 'running')
    await stores.reports.write([aWrite(peer, running)])
    const [other, waiting] = [
      await aSessionOn(stores, (await anAgent(stores, { id: 'stays' })).agentId),
      await commit(stores, aCreation(nowhere)),
    ]
    await stores.agents.remove(ofAcme(peer.agentId))

    const failed = await theSession(stores, session.id)
    expect(failed).to.deep.include({
      status: 'failed',
      statusReason: 'removed_outside',
      statusMessage: 'agent fails was removed',
      agentId: null,
      reservedOn: null,
      waitingSince: null,
      statusDeadline: null,
      deletedAt: null,
      desiredState: 'running',
      generation: 1,
      version: running.session.version + 1,
      revision: running.session.revision + 1,
    })
    expect(await lastEvent(session)).to.deep.include({
      org_id: ACME,
      type: 'failed',
      generation: 1,
      actor: 'agent_removal',
      data: { status: 'failed', reason: 'removed_outside', message: 'agent fails was removed', agentId: 'fails' },
    })
    for (const untouched of [other, waiting]) {
      expect(await theSession(stores, untouched.id)).to.deep.equal(untouched)
      expect(await eventCount(untouched)).to.equal(1)
    }
  })

  it('ends those that were being deleted', async () => {
    const { agentId } = await anAgent(stores, { id: 'deletes' })
    const session = await aSessionOn(stores, agentId)
    await commit(stores, right(remove(session, anIntent())))
    await stores.agents.remove(ofAcme(agentId))
    const gone = await theSession(stores, session.id)
    expect(gone).to.deep.include({ status: 'deleting', agentId: null, reservedOn: null, observedGeneration: 2 })
    expect(gone.deletedAt).to.be.an.instanceOf(Date)
    expect(await stores.queries.get(ACME, [{ id: session.id, ownerId: null }])).to.deep.equal([null])
    expect((await lastEvent(session)).type).to.equal('deleted')
  })

  it('lets go of what a tombstone held there, and tells nobody again', async () => {
    const { agentId } = await anAgent(stores, { id: 'tombstones' })
    const session = await aSessionOn(stores, agentId)
    const forced = await commit(stores, forceRemove(session, anIntent()))
    const events = await eventCount(session)
    await stores.agents.remove(ofAcme(agentId))
    expect(await theSession(stores, session.id)).to.deep.include({
      agentId: null,
      reservedOn: null,
      deletedAt: forced.deletedAt,
      observedGeneration: forced.generation,
    })
    expect(await eventCount(session)).to.equal(events)
  })

  it('cancels what was on its way there, and leaves what is history', async () => {
    const { agentId } = await anAgent(stores, { id: 'cancels' })
    const session = await aSessionOn(stores, agentId)
    await commit(stores, right(stop(session, anIntent())))
    await stores.agents.remove(ofAcme(agentId))
    const [superseded, cancelled] = await commandsOf(stores, session.id)
    expect(superseded).to.deep.include({ status: 'superseded', last_error: null })
    expect(cancelled).to.deep.include({ status: 'cancelled', last_error: 'agent cancels was removed' })
    expect(cancelled.finished_at).to.be.an.instanceOf(Date)
  })

  it('lets a session of its be started elsewhere', async () => {
    const { agentId } = await anAgent(stores, { id: 'left' })
    const session = await aSessionOn(stores, agentId)
    await stores.agents.remove(ofAcme(agentId))
    const { agentId: elsewhere } = await anAgent(stores, { id: 'elsewhere' })
    const failed = await theSession(stores, session.id)
    await commit(stores, right(start(failed, 'start', on(elsewhere), anIntent())))
    expect(await theSession(stores, session.id)).to.deep.include({
      status: 'scheduling',
      agentId: elsewhere,
      generation: 2,
    })
  })

  it('and enrolling it anew begins from nothing', async () => {
    const { agentId } = await anAgent(stores, { id: 'anew' })
    const session = await aSessionOn(stores, agentId)
    await stores.agents.remove(ofAcme(agentId))
    const peer = await connected(stores, await enrolled(stores, { id: 'anew' }))
    expect(peer.epoch).to.equal(1)
    expect(await stores.inventories.sessions({ agentId, mentioned: [], asTold: new Set() })).to.deep.equal([])
    expect(await stores.due(peer, 10, [])).to.deep.equal([])
    expect((await stores.agents.get(ACME, agentId))?.allocated.sessions).to.equal(0)
    expect(
      (await stores.inventories.sessions({ agentId, mentioned: [session.id], asTold: new Set() })).map(({ id }) => id),
    ).to.deep.equal([session.id])
  })

  it('fences what it was still saying', async () => {
    const peer = await anAgent(stores, { id: 'talking' })
    const session = await aSessionOn(stores, peer.agentId)
    const lease = await holding(stores.url, ['SELECT FROM agent_leases WHERE agent_id = $1 FOR SHARE', peer.agentId])
    const removing = stores.agents.remove(ofAcme(peer.agentId))
    await lockWaits(stores.ask, 1)
    await lease.release()
    await removing
    const { fenced } = await stores.reports.write([aWrite(peer, reported(session, peer, 'running'))])
    expect(fenced).to.deep.equal(new Set([peer.agentId]))
    expect((await theSession(stores, session.id)).status).to.equal('failed')
  })

  const order = ['agent_leases', 'agents', 'sessions', 'outbox'] as const
  for (const [index, at] of order.entries())
    it(`held at ${at}, has locked ${order.slice(0, index).join(', ') || 'nothing'} and nothing beyond`, async () => {
      const { agentId } = await anAgent(stores, { id: `order-${at}` })
      const session = await aSessionOn(stores, agentId)
      const keys = {
        agent_leases: ['agent_id', agentId],
        agents: ['id', agentId],
        sessions: ['id', session.id],
        outbox: ['session_id', session.id],
      } as const
      const held = await holding(stores.url, [`SELECT FROM ${at} WHERE ${keys[at][0]} = $1 FOR UPDATE`, keys[at][1]])
      const removing = stores.agents.remove(ofAcme(agentId))
      await lockWaits(stores.ask, 1)
      const free = await Promise.all(order.map((place) => isFree(stores.url, place, keys[place][0], keys[place][1])))
      expect(free).to.deep.equal(order.map((_, place) => place > index))
      await held.release()
      await removing
    })

  it('tells what is lost: sessions by id, and not those that were being deleted', async () => {
    const { agentId } = await anAgent(stores, { id: 'tells' })
    const [running, stopped, deleting] = await Promise.all([1, 2, 3].map(() => aSessionOn(stores, agentId)))
    if (running === undefined || stopped === undefined || deleting === undefined) throw new Error('not made')
    await commit(stores, right(stop(stopped, anIntent())))
    await commit(stores, right(remove(deleting, anIntent())))
    await aSessionOn(stores, (await anAgent(stores, { id: 'tells-not' })).agentId)
    const named = [running, stopped].map(({ id, name, orgId }) => ({ id, name, orgId }))
    expect(await stores.agents.remove(ofAcme(agentId))).to.deep.equal({
      count: 2,
      sessions: named.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      byOrg: [{ orgId: ACME, count: 2, sessionIds: named.map(({ id }) => id).toSorted() }],
    })
    expect(await stores.agents.remove(ofAcme(agentId)), 'nothing a second time').to.deep.equal({
      count: 0,
      sessions: [],
      byOrg: [],
    })
  })

  it('tells of a shared agent what each org has lost', async () => {
    const { agentId } = await anAgent(stores, { id: 'lost-by-both', orgId: null })
    const [ours, theirs] = [
      await aSessionOn(stores, agentId),
      await aSessionOn(stores, agentId, { orgId: GLOBEX, name: 'theirs' }),
    ]
    expect((await stores.agents.remove({ id: agentId, orgId: null }))?.byOrg).to.deep.equal([
      { orgId: ACME, count: 1, sessionIds: [ours.id] },
      { orgId: GLOBEX, count: 1, sessionIds: [theirs.id] },
    ])
  })

  it('names a thousand of them and counts all', async () => {
    const { agentId } = await anAgent(stores, { id: 'many-lost' })
    await manySessions(stores, 1_001, { agent_id: `'many-lost'`, status: `'running'` })
    const lost = await stores.agents.remove(ofAcme(agentId))
    expect([lost?.count, lost?.sessions.length]).to.deep.equal([1_001, 1_000])
    expect(lost?.byOrg.map(({ count, sessionIds }) => [count, sessionIds.length])).to.deep.equal([[1_001, 100]])
  })

  it('only when it has none, sees what was placed there a moment ago, and changes nothing then', async () => {
    const { agentId } = await anAgent(stores, { id: 'not-empty' })
    const held = await holding(stores.url, ['SELECT FROM agents WHERE id = $1 FOR UPDATE', agentId])
    const placing = aSessionOn(stores, agentId)
    await lockWaits(stores.ask, 1)
    const removing = stores.agents.removeEmpty(ofAcme(agentId))
    await lockWaits(stores.ask, 2)
    await held.release()
    const session = await placing
    expect(await removing).to.equal(1)
    expect((await theSession(stores, session.id)).status).to.equal('scheduling')
    await commit(stores, forceRemove(session, anIntent()))
    expect(await stores.agents.removeEmpty(ofAcme(agentId))).to.equal(0)
    expect(await stores.agents.get(ACME, agentId)).to.equal(null)
  })

  it('takes along a session that was being placed there, or refuses it the place', async () => {
    const { agentId } = await anAgent(stores, { id: 'being-placed' })
    const decisions = Array.from({ length: 30 }, () => aCreation(on(agentId)))
    const commits = decisions.map((decision) => stores.unitOfWork.commit(decision))
    const [answers] = await Promise.all([Promise.all(commits), stores.agents.remove(ofAcme(agentId))])
    for (const [index, decision] of decisions.entries()) {
      const rows = await stores.sessions.loadMany([decision.session.id])
      if (E.isLeft(answers[index]!)) expect(rows).to.deep.equal([])
      else expect(rows[0]).to.deep.include({ status: 'failed', agentId: null, reservedOn: null })
    }
    expect(await stores.ask(`SELECT id FROM outbox WHERE agent_id = $1 AND status = 'pending'`, agentId)).to.deep.equal(
      [],
    )
  })
})
