import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import type { Heartbeat, HeldLease, Peer } from '../../../domain/ports/agents.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import {
  ACME,
  agentNamed,
  anAgent,
  aSessionOn,
  commandsOf,
  connected,
  enrolled,
  ids,
  ofAcme,
  openStores,
  PLENTY,
  replicaId,
  type Stores,
} from '../../support/rows.ts'

const aBeat = (peer: Peer, overrides: Partial<Heartbeat> = {}): Heartbeat => ({
  ...peer,
  activeSessions: 3,
  inventoryHash: 'f'.repeat(64),
  capacity: null,
  degradedReason: null,
  ...overrides,
})

describe('leases', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  const lease = async (agentId: string) =>
    (await stores.ask('SELECT * FROM agent_leases WHERE agent_id = $1', agentId))[0]

  it('know an agent by the hash of its token', async () => {
    const agentId = await enrolled(stores, { id: 'by-token', orgId: null, platform: 'docker' })
    const tokenHash = Buffer.from('token of by-token')
    expect(await stores.leases.identify(tokenHash)).to.deep.equal({
      agentId,
      orgId: null,
      platform: 'docker',
      tokenHash,
    })
    expect(await stores.leases.identify(Buffer.from('another token'))).to.equal(null)
  })

  describe('a connection', () => {
    it('raises the epoch, and every further one raises it again', async () => {
      const agentId = await enrolled(stores, { id: 'raises' })
      expect((await connected(stores, agentId)).epoch).to.equal(1)
      expect((await connected(stores, agentId)).epoch).to.equal(2)
      expect(await lease(agentId)).to.deep.include({ replica_id: replicaId, disconnected_at: null })
    })

    it('of an agent that was welcomed with a higher epoch goes above that', async () => {
      const agentId = await enrolled(stores, { id: 'above' })
      expect((await connected(stores, agentId, { lastEpoch: 41 })).epoch).to.equal(42)
      expect((await connected(stores, agentId, { lastEpoch: 7 })).epoch).to.equal(43)
    })

    it('hands out every epoch once, also to many at the same time', async () => {
      const agentId = await enrolled(stores, { id: 'many-at-once' })
      const peers = await Promise.all(Array.from({ length: 20 }, () => connected(stores, agentId)))
      expect(peers.map(({ epoch }) => epoch).toSorted((a, b) => a - b)).to.deep.equal(
        Array.from({ length: 20 }, (_, index) => index + 1),
      )
    })

    it('is not made with a token that was rotated since the upgrade', async () => {
      const agentId = await enrolled(stores, { id: 'rotated' })
      const hello = {
        agentId,
        replicaId,
        version: '2.1.0',
        region: null,
        labels: {},
        capacity: PLENTY,
        lastEpoch: null,
      }
      await stores.agents.setTokenHash(ofAcme(agentId), Buffer.from('the new one'))
      const late = await stores.leases.connect({ ...hello, tokenHash: Buffer.from('token of rotated') })
      expect(late).to.deep.include({ _tag: 'Left', left: { _tag: 'AgentGone' } })
      expect(await stores.leases.connect({ ...hello, tokenHash: Buffer.from('the new one') })).to.have.property(
        '_tag',
        'Right',
      )
    })

    it('is not made by one who waits while the token is being rotated', async () => {
      const agentId = await enrolled(stores, { id: 'rotating' })
      const rotating = await holding(
        stores.url,
        ['UPDATE agent_leases SET epoch = epoch + 1 WHERE agent_id = $1', agentId],
        ['UPDATE agents SET token_hash = $2 WHERE id = $1', agentId, Buffer.from('the next of rotating')],
      )
      const hello = { agentId, replicaId, version: '2', region: null, labels: {}, capacity: PLENTY, lastEpoch: null }
      const late = stores.leases.connect({ ...hello, tokenHash: Buffer.from('token of rotating') })
      await lockWaits(stores.ask, 1)
      await rotating.release()
      expect(await late).to.deep.include({ _tag: 'Left' })
    })

    it('is given to many in one pair of statements, each its own; nobody stands in for who is not there', async () => {
      const names = Array.from({ length: 50 }, (_, n) => `together-${n}`)
      for (const id of names) await enrolled(stores, { id })
      const hello = (id: string) => ({
        agentId: agentNamed(id),
        replicaId,
        version: id,
        region: null,
        labels: { of: id },
        capacity: PLENTY,
        lastEpoch: id === 'together-7' ? 70 : null,
        tokenHash: Buffer.from(id === 'together-9' ? 'stolen' : `token of ${id}`),
      })
      const answers = await stores.leases.connectMany([...names, 'nobody'].map(hello))
      const epochs = answers.map((answer) => (E.isRight(answer) ? answer.right.epoch : null))
      expect(epochs).to.deep.equal([...names.map((_, n) => (n === 7 ? 71 : n === 9 ? null : 1)), null])
      expect((await stores.agents.get(ACME, agentNamed('together-3')))?.labels).to.deep.equal({ of: 'together-3' })
      expect((await lease(agentNamed('together-9')))?.epoch).to.equal(0)
      const known = await stores.leases.identifyMany([Buffer.from('token of together-3'), Buffer.from('none')])
      expect(known.map((identity) => identity?.agentId ?? null)).to.deep.equal(['together-3', null])
    })

    it('is fenced, whoever holds it, when the token is rotated', async () => {
      const peer = await connected(stores, await enrolled(stores, { id: 'rotated-later' }))
      await stores.agents.setTokenHash(ofAcme(peer.agentId), Buffer.from('another'))
      expect((await lease(peer.agentId))?.epoch).to.be.greaterThan(peer.epoch)
    })

    it('is looked after: what was revoked, removed, replaced or freed is told, and why; what is held is not', async () => {
      const names = ['held', 'revoked', 'taken-away', 'replaced', 'freed', 'elsewhere'] as const
      const held: HeldLease[] = []
      for (const id of names) {
        const tokenHash = Buffer.from(`token of ${id}`)
        held.push({ ...(await connected(stores, await enrolled(stores, { id }))), tokenHash })
      }
      expect(await stores.leases.lost(held, replicaId)).to.deep.equal([])
      await stores.agents.setTokenHash(ofAcme(agentNamed('revoked')), Buffer.from('the next one'))
      await stores.agents.remove(ofAcme(agentNamed('taken-away')))
      await connected(stores, agentNamed('replaced'))
      await stores.ask(`UPDATE agent_leases SET replica_id = NULL WHERE agent_id = 'freed'`)
      await connected(stores, agentNamed('elsewhere'), { replica: ids.replica() })
      const lost = await stores.leases.lost(held, replicaId)
      expect(Object.fromEntries(lost.map(({ index, why }) => [names[index], why]))).to.deep.equal({
        revoked: 'revoked',
        'taken-away': 'revoked',
        replaced: 'replaced',
        freed: 'replaced',
        elsewhere: 'replaced',
      })
      const unknowing = held.map((one) => ({ ...one, tokenHash: undefined }))
      expect((await stores.leases.lost(unknowing, replicaId)).map(({ why }) => why)).to.deep.equal(
        Array(5).fill('replaced'),
      )
      expect(await stores.leases.lost([], replicaId)).to.deep.equal([])
    })

    it('keeps what the agent says of itself, under what it was enrolled with', async () => {
      const agentId = await enrolled(stores, { id: 'says-of-itself' })
      await stores.ask(
        `UPDATE agents SET labels = '{"zone": "a", "by": "operator"}', region = 'eu' WHERE id = $1`,
        agentId,
      )
      const hello = { agentId, replicaId, version: '2.1.0', region: null, capacity: PLENTY, lastEpoch: null }
      await stores.leases.connect({ ...hello, labels: { old: 'gone' } })
      await stores.leases.connect({ ...hello, labels: { zone: 'b', host: 'h' } })
      const agent = await stores.agents.get(ACME, agentId)
      expect(agent).to.deep.include({
        version: '2.1.0',
        region: 'eu',
        labels: { zone: 'a', by: 'operator', host: 'h' },
        capacity: PLENTY,
        status: 'online',
        epoch: 2,
      })
    })

    it('makes what the old one acked, or what rests, due again, and no row of anyone else', async () => {
      const [old, other] = [await anAgent(stores, { id: 'due-again' }), await anAgent(stores, { id: 'not-due-again' })]
      const [acked, resting, done] = [
        await aSessionOn(stores, old.agentId),
        await aSessionOn(stores, old.agentId),
        await aSessionOn(stores, old.agentId),
      ]
      const theirs = await aSessionOn(stores, other.agentId)
      await stores.ask('UPDATE outbox SET acked_epoch = 1 WHERE session_id = ANY($1)', [acked.id, theirs.id, done.id])
      await stores.ask(`UPDATE outbox SET status = 'done' WHERE session_id = $1`, done.id)
      await stores.ask(
        `UPDATE outbox SET next_attempt_at = now() + interval '1 hour' WHERE session_id = $1`,
        resting.id,
      )
      expect(await stores.due(old, 10, [])).to.deep.equal([])
      const fresh = await connected(stores, old.agentId)
      expect((await stores.due(fresh, 10, [])).map(({ sessionId }) => sessionId)).to.deep.equal([acked.id, resting.id])
      expect((await commandsOf(stores, theirs.id))[0].acked_epoch).to.equal(1)
    })

    it('of an agent that was removed is refused', async () => {
      const answer = await stores.leases.connect({
        agentId: agentNamed('nobody'),
        replicaId,
        version: '2',
        region: null,
        labels: {},
        capacity: PLENTY,
        lastEpoch: 4,
      })
      expect(answer).to.deep.equal(E.left({ _tag: 'AgentGone' }))
    })

    it('starts with a clean slate of liveness', async () => {
      const peer = await anAgent(stores, { id: 'clean-slate' })
      await stores.leases.heartbeat([aBeat(peer, { degradedReason: 'disk full' })], replicaId)
      await connected(stores, peer.agentId)
      const [row] = await stores.ask('SELECT * FROM agent_liveness WHERE agent_id = $1', peer.agentId)
      expect(row).to.deep.include({ degraded_reason: null, inventory_hash: null, active_sessions: 0 })
    })
  })

  describe('giving up', () => {
    it('frees the lease and keeps the epoch', async () => {
      const peer = await anAgent(stores, { id: 'gives-up' })
      await stores.leases.disconnect(peer, replicaId)
      expect(await lease(peer.agentId)).to.deep.include({ replica_id: null, epoch: 1 })
      expect((await lease(peer.agentId)).disconnected_at).to.be.an.instanceOf(Date)
      expect((await connected(stores, peer.agentId)).epoch).to.equal(2)
    })

    it('of an old connection, or by another replica, does nothing', async () => {
      const old = await anAgent(stores, { id: 'old-gives-up' })
      const fresh = await connected(stores, old.agentId)
      await stores.leases.disconnect(old, replicaId)
      await stores.leases.disconnect(fresh, ids.replica())
      expect(await lease(old.agentId)).to.deep.include({ replica_id: replicaId, epoch: 2, disconnected_at: null })
    })

    it('is one statement for many, of which each stands by itself', async () => {
      const [mine, old] = [await anAgent(stores, { id: 'goes-1' }), await anAgent(stores, { id: 'goes-2' })]
      const elsewhere = await connected(stores, await enrolled(stores, { id: 'goes-3' }), { replica: ids.replica() })
      const fresh = await connected(stores, old.agentId)
      await stores.leases.disconnectMany([old, elsewhere, mine], replicaId)
      expect((await lease(mine.agentId)).replica_id).to.equal(null)
      expect((await lease(fresh.agentId)).replica_id).to.equal(replicaId)
      expect((await lease(elsewhere.agentId)).replica_id).not.to.equal(null)
      await stores.leases.disconnectMany([old, fresh], replicaId)
      expect((await lease(fresh.agentId)).replica_id).to.equal(null)
    })
  })

  describe('heartbeats', () => {
    it('are written in one batch, and tell whose lease is no longer theirs', async () => {
      const [alive, replaced, freed, elsewhere] = [
        await anAgent(stores, { id: 'alive' }),
        await anAgent(stores, { id: 'replaced' }),
        await anAgent(stores, { id: 'freed' }),
        await connected(stores, await enrolled(stores, { id: 'elsewhere' }), { replica: ids.replica() }),
      ]
      await connected(stores, replaced.agentId)
      await stores.leases.disconnect(freed, replicaId)
      const beats = [alive, replaced, freed, elsewhere].map((peer) => aBeat(peer, { degradedReason: 'slow disk' }))
      expect(await stores.leases.heartbeat(beats, replicaId)).to.deep.equal(beats.slice(1))
      const rows = await stores.ask(
        `SELECT agent_id FROM agent_liveness WHERE degraded_reason = 'slow disk' AND active_sessions = 3`,
      )
      expect(rows).to.deep.equal([{ agent_id: 'alive' }])
    })

    it('of one connection that beats twice in a batch are both good', async () => {
      const peer = await anAgent(stores, { id: 'twice' })
      const beats = [aBeat(peer, { activeSessions: 1 }), aBeat(peer, { activeSessions: 2 })]
      expect(await stores.leases.heartbeat(beats, replicaId)).to.deep.equal([])
      const [row] = await stores.ask('SELECT active_sessions FROM agent_liveness WHERE agent_id = $1', peer.agentId)
      expect(row.active_sessions).to.equal(2)
    })

    it('of two connections of one agent in a batch: only the newer is good', async () => {
      const old = await anAgent(stores, { id: 'two-connections' })
      const fresh = await connected(stores, old.agentId)
      const beats = [aBeat(fresh), aBeat(old)]
      expect(await stores.leases.heartbeat(beats, replicaId)).to.deep.equal([beats[1]])
    })

    it('bring new capacity, of the present connection only', async () => {
      const old = await anAgent(stores, { id: 'new-capacity' })
      const fresh = await connected(stores, old.agentId)
      const capacityOf = async () => (await stores.agents.get(ACME, old.agentId))?.capacity
      await stores.leases.heartbeat([aBeat(old, { capacity: { ...PLENTY, maxSessions: 1 } })], replicaId)
      expect(await capacityOf()).to.deep.equal(PLENTY)
      await stores.leases.heartbeat([aBeat(fresh, { capacity: { ...PLENTY, maxSessions: 2 } })], replicaId)
      expect(await capacityOf()).to.deep.equal({ ...PLENTY, maxSessions: 2 })
    })

    it('that meet a new connection are fenced by it', async () => {
      const old = await anAgent(stores, { id: 'meets' })
      const connecting = await holding(stores.url, [
        'UPDATE agent_leases SET epoch = epoch + 1 WHERE agent_id = $1',
        old.agentId,
      ])
      const beat = aBeat(old, { degradedReason: 'from the past', capacity: { ...PLENTY, maxSessions: 5 } })
      const beating = stores.leases.heartbeat([beat], replicaId)
      await lockWaits(stores.ask, 1)
      await connecting.release()
      expect(await beating).to.deep.equal([beat])
      expect(await stores.agents.get(ACME, old.agentId)).to.deep.include({ capacity: PLENTY, statusReason: null })
    })

    it('of nobody are no statement that fails', async () => {
      expect(await stores.leases.heartbeat([], replicaId)).to.deep.equal([])
    })
  })

  it('tell who holds which agent, and leave out those whom nobody holds', async () => {
    const other = ids.replica()
    const [here, nobody] = [await anAgent(stores, { id: 'here' }), await anAgent(stores, { id: 'nobodys' })]
    const there = await connected(stores, await enrolled(stores, { id: 'there' }), { replica: other })
    await stores.leases.disconnect(nobody, replicaId)
    const holders = await stores.leases.holders([here.agentId, there.agentId, nobody.agentId, agentNamed('unknown')])
    expect(holders.toSorted((a, b) => (a.agentId < b.agentId ? -1 : 1))).to.deep.equal([
      { agentId: here.agentId, replicaId },
      { agentId: there.agentId, replicaId: other },
    ])
  })
})
