import { expect } from 'chai'
import { MAX_UNACKED } from '../../../adapters/postgres/outbox.ts'
import { stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import { holding, letGo } from '../../support/locks.ts'
import {
  anAgent,
  anIntent,
  aSessionOn,
  commandIdOf,
  commandsOf,
  commit,
  connected,
  enrolled,
  ids,
  openStores,
  PLENTY,
  replicaId,
  right,
  type Stores,
  theSession,
} from '../../support/rows.ts'

describe('duties of the database', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  const change = (sessionId: string, set: string) =>
    stores.ask(`UPDATE outbox SET ${set} WHERE session_id = $1`, sessionId)

  describe('ending back-offs', () => {
    it('makes due what has rested long enough, in small batches, and names the agents', async () => {
      const [one, two] = [await anAgent(stores, { id: 'one' }), await anAgent(stores, { id: 'two' })]
      for (const { agentId } of [one, one, two])
        await change((await aSessionOn(stores, agentId)).id, `next_attempt_at = now() - interval '1 ms'`)
      const resting = await aSessionOn(stores, two.agentId)
      await change(resting.id, `next_attempt_at = now() + interval '1 hour'`)
      const done = await aSessionOn(stores, two.agentId)
      await change(done.id, `status = 'done', next_attempt_at = now() - interval '1 ms'`)

      const named = [await stores.duties.endBackOffs(2), await stores.duties.endBackOffs(2)].flat()
      expect(new Set(named)).to.deep.equal(new Set(['one', 'two']))
      expect(await stores.duties.endBackOffs(2)).to.deep.equal([])
      expect(await stores.due(one, 10, [])).to.have.length(2)
      expect(await stores.due(two, 10, [])).to.have.length(1)
    })

    it('makes due again what was acked before it failed', async () => {
      const peer = await anAgent(stores, { id: 'acked' })
      const session = await aSessionOn(stores, peer.agentId)
      await change(session.id, `next_attempt_at = now() - interval '1 ms', acked_epoch = ${peer.epoch}`)
      await stores.duties.endBackOffs(10)
      expect(await stores.due(peer, 10, [])).to.have.length(1)
    })
  })

  describe('giving up', () => {
    it('is remembered of the newest command of a session only, and only while it is so', async () => {
      const { agentId } = await anAgent(stores, { id: 'remembered' })
      const session = await aSessionOn(stores, agentId)
      await change(session.id, `status = 'dead'`)
      expect(await stores.duties.givenUpOf([session.id])).to.have.length(1)
      await change(session.id, `status = 'pending'`)
      expect(await stores.duties.givenUpOf([session.id])).to.deep.equal([])
      await change(session.id, `status = 'dead'`)
      await commit(stores, right(stop(session, anIntent())))
      expect(await stores.duties.givenUpOf([session.id])).to.deep.equal([])
    })

    it('ends what was sent too often without an answer, and starts whose time has passed', async () => {
      const { agentId } = await anAgent(stores, { id: 'gives-up' })
      const [unanswered, late, fine] = [
        await aSessionOn(stores, agentId),
        await aSessionOn(stores, agentId),
        await aSessionOn(stores, agentId),
      ]
      await change(unanswered.id, `unacked = ${MAX_UNACKED}`)
      await change(late.id, `expires_at = now() - interval '1 ms'`)
      await change(fine.id, `unacked = ${MAX_UNACKED - 1}`)
      const given = (await stores.duties.giveUp(10)).toSorted((a, b) => (a.fate < b.fate ? -1 : 1))
      const of = async ({ id }: Session) => ({
        commandId: await commandIdOf(stores, id),
        sessionId: id,
        agentId,
        generation: 1,
      })
      expect(given).to.deep.equal([
        { ...(await of(unanswered)), fate: 'dead', error: 'sent 20 times without an ack' },
        { ...(await of(late)), fate: 'expired', error: 'not delivered before it expired' },
      ])
      const named = await stores.duties.givenUpOf([unanswered.id, late.id, fine.id])
      expect(named.toSorted((a, b) => (a.fate < b.fate ? -1 : 1))).to.deep.equal(given)
      const statuses = await Promise.all([unanswered, late, fine].map(({ id }) => commandsOf(stores, id)))
      expect(statuses.map(([row]) => [row.status, row.finished_at !== null])).to.deep.equal([
        ['dead', true],
        ['expired', true],
        ['pending', false],
      ])
      expect(await stores.duties.giveUp(10)).to.deep.equal([])
    })

    it('leaves to the agent what the agent has: it was delivered in time', async () => {
      const peer = await anAgent(stores, { id: 'delivered' })
      const session = await aSessionOn(stores, peer.agentId)
      await change(session.id, `expires_at = now() - interval '1 ms', unacked = 30, acked_epoch = ${peer.epoch}`)
      expect(await stores.duties.giveUp(10)).to.deep.equal([])
      // The connection that had it is gone, and with it the word of the agent.
      await connected(stores, peer.agentId)
      expect(await stores.duties.giveUp(10)).to.have.length(1)
    })

    it('works in small batches', async () => {
      const { agentId } = await anAgent(stores, { id: 'batches' })
      for (let n = 0; n < 5; n += 1)
        await change((await aSessionOn(stores, agentId)).id, `expires_at = now() - interval '1 ms'`)
      const sizes = []
      for (let n = 0; n < 4; n += 1) sizes.push((await stores.duties.giveUp(2)).length)
      expect(sizes).to.deep.equal([2, 2, 1, 0])
    })

    it('passes by what somebody is just finishing', async () => {
      const peer = await anAgent(stores, { id: 'finishing' })
      const session = await aSessionOn(stores, peer.agentId)
      await change(session.id, `expires_at = now() - interval '1 ms'`)
      const finishing = await holding(stores.url, [
        `UPDATE outbox SET status = 'done', finished_at = now() WHERE session_id = $1`,
        session.id,
      ])
      expect(await stores.duties.giveUp(10)).to.deep.equal([])
      await finishing.release()
      expect(await stores.duties.giveUp(10)).to.deep.equal([])
      expect((await commandsOf(stores, session.id))[0].status).to.equal('done')
    })
  })

  it('name the connected agents that have something due', async () => {
    const [due, idle, away, acked] = [
      await anAgent(stores, { id: 'due' }),
      await anAgent(stores, { id: 'idle' }),
      await anAgent(stores, { id: 'away' }),
      await anAgent(stores, { id: 'acked' }),
    ]
    for (const { agentId } of [due, due, away]) await aSessionOn(stores, agentId)
    await change((await aSessionOn(stores, acked.agentId)).id, 'acked_epoch = 1')
    await stores.leases.disconnect(away, replicaId)
    expect(await stores.duties.agentsWithDueCommands(10)).to.deep.equal([due.agentId])
    await aSessionOn(stores, idle.agentId)
    expect(await stores.duties.agentsWithDueCommands(1)).to.have.length(1)
  })

  describe('replicas', () => {
    const holderOf = async (agentId: string) =>
      (await stores.ask('SELECT replica_id FROM agent_leases WHERE agent_id = $1', agentId))[0].replica_id

    it('that say nothing are dead, and their agents are free', async () => {
      const [alive, dead] = [ids.replica(), ids.replica()]
      expect(await stores.duties.replicaAlive(alive, 'http://alive')).to.equal('unknown')
      await stores.duties.replicaAlive(dead, 'http://dead')
      const [a, b] = [await enrolled(stores, { id: 'a' }), await enrolled(stores, { id: 'b' })]
      await connected(stores, a, { replica: alive, capacity: PLENTY })
      await connected(stores, b, { replica: dead, capacity: PLENTY })
      await stores.ask(`UPDATE replicas SET last_seen_at = now() - interval '21 seconds'`)
      expect(await stores.duties.replicaAlive(alive, 'http://alive:2')).to.equal('known')
      expect(await stores.duties.releaseDeadReplicas(20_000)).to.deep.equal([dead])
      expect([await holderOf(a), await holderOf(b)]).to.deep.equal([alive, null])
      expect(await stores.ask('SELECT id, url FROM replicas')).to.deep.equal([{ id: alive, url: 'http://alive:2' }])
      expect(await stores.duties.releaseDeadReplicas(20_000)).to.deep.equal([])
      expect(await stores.duties.replicaIds()).to.deep.equal([alive])
      expect(await stores.duties.replicaAlive(dead, 'http://dead'), 'back from the dead').to.equal('unknown')
    })

    it('that signed off leave no agent behind that seems held', async () => {
      const gone = ids.replica()
      await stores.duties.replicaAlive(gone, 'http://gone')
      const agentId = await enrolled(stores, { id: 'left-behind' })
      await connected(stores, agentId, { replica: gone })
      await stores.duties.replicaGone(gone)
      await stores.duties.releaseDeadReplicas(20_000)
      expect(await holderOf(agentId)).to.equal(null)
    })
  })

  it('leave sessions alone: what becomes of them is decided, not swept', async () => {
    const { agentId } = await anAgent(stores, { id: 'alone' })
    const session = await aSessionOn(stores, agentId)
    await change(session.id, `expires_at = now() - interval '1 ms'`)
    await stores.duties.giveUp(10)
    expect(await theSession(stores, session.id)).to.deep.equal(session)
  })
})
