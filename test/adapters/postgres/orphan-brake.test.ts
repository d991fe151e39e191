import { expect } from 'chai'
import { idsOf, orphansOf, someOrphans } from '../../support/orphans.ts'
import { ACME, anAgent, connected, enrolled, ids, ofAcme, openStores, type Stores } from '../../support/rows.ts'

describe('orphans', function () {
  this.timeout(120_000)
  let stores: Stores
  let orphans: ReturnType<typeof orphansOf>
  beforeEach(async () => {
    stores = await openStores()
    orphans = orphansOf(stores)
  })
  afterEach(() => stores.close())

  describe('beyond the brake', () => {
    it('are not removed, not one of them; the agent says why, once in its history', async () => {
      const peer = await anAgent(stores, { id: 'held' })
      const found = someOrphans(20)
      await orphans.inventory(peer, found)
      for (let n = 0; n < 3; n += 1) {
        const begun = await orphans.inventory(peer, found)
        expect(begun).to.deep.include({ kind: 'begun', removing: 0, heldBefore: n > 0 })
      }
      expect(await stores.due(peer, 100, [])).to.deep.equal([])
      const agent = await stores.agents.get(ACME, peer.agentId)
      expect(agent?.status).to.equal('online')
      expect(agent?.statusReason).to.match(/^orphans: 20 to remove, and at most 10 of the 20 .* operator approves$/)
      expect(await orphans.eventsOf(peer)).to.deep.equal(['orphans_seen', 'orphan_removal_held'])
    })

    it('are held no longer once there are few enough', async () => {
      const peer = await anAgent(stores, { id: 'fewer' })
      const found = someOrphans(20)
      await orphans.inventory(peer, found)
      await orphans.inventory(peer, found)
      expect(await orphans.inventory(peer, found.slice(0, 4), 16)).to.deep.include({
        removing: 4,
        held: null,
        heldBefore: true,
      })
      expect((await stores.agents.get(ACME, peer.agentId))?.statusReason).to.equal(null)
    })

    it('are removed when an operator approves: those that are named, or all that are there', async () => {
      const peer = await anAgent(stores, { id: 'approved' })
      const found = someOrphans(20)
      await orphans.inventory(peer, found)
      await orphans.inventory(peer, found)
      const named = idsOf(found).slice(0, 12)
      const stranger = ids.session()
      expect(await stores.orphans.approve(ofAcme(peer.agentId), [...named, stranger], 'user:anna')).to.deep.equal({
        kind: 'missing',
        sessionIds: [stranger],
      })
      expect((await orphans.listed(peer)).every(({ state }) => state === 'seen')).to.equal(true)
      expect(await stores.orphans.approve(ofAcme(peer.agentId), named, 'user:anna')).to.deep.equal({
        kind: 'approved',
        count: 12,
      })
      const commands = Array.from({ length: 50 }, () => ids.command())
      expect(await stores.orphans.removeApproved(ofAcme(peer.agentId), commands)).to.equal(12)
      expect((await stores.due(peer, 100, [])).map(({ sessionId }) => sessionId).toSorted()).to.deep.equal(named)
      expect((await stores.agents.get(ACME, peer.agentId))?.statusReason).to.match(/^orphans: /)
      expect(await stores.orphans.approve(ofAcme(peer.agentId), null, 'user:ben')).to.deep.equal({
        kind: 'approved',
        count: 8,
      })
      expect((await stores.agents.get(ACME, peer.agentId))?.statusReason).to.equal(null)
      // Had the server been killed here: the next inventory begins what is approved.
      expect(await orphans.inventory(peer, found)).to.deep.include({ removing: 8, held: null })
      expect(
        (await orphans.listed(peer)).map(({ approvedBy }) => approvedBy).filter((by) => by === 'user:ben'),
      ).to.have.length(8)
    })

    it('and approved count for nothing: what is due later has the whole limit', async () => {
      const peer = await anAgent(stores, { id: 'no-count' })
      const found = someOrphans(30)
      await orphans.inventory(peer, found, 70)
      await stores.orphans.approve(ofAcme(peer.agentId), null, 'user:anna')
      await orphans.inventory(peer, found, 70)
      const more = someOrphans(10)
      await orphans.inventory(peer, more, 90)
      expect(await orphans.inventory(peer, more, 90)).to.deep.include({ removing: 10 })
    })

    it('count for a day', async () => {
      const peer = await anAgent(stores, { id: 'a-day' })
      const [first, second] = [someOrphans(8), someOrphans(3)]
      await orphans.inventory(peer, first, 92)
      await orphans.inventory(peer, first, 92)
      await orphans.inventory(peer, second, 97)
      expect(await orphans.inventory(peer, second, 97)).to.deep.include({ removing: 0 })
      await stores.ask(
        `UPDATE orphans SET removal_begun_at = now() - interval '1441 minutes' WHERE removal_begun_at IS NOT NULL`,
      )
      expect(await orphans.inventory(peer, second, 97)).to.deep.include({ removing: 3 })
    })

    it('of all agents together are bounded, however many servers judge at the same moment', async () => {
      const agents = await Promise.all(
        Array.from({ length: 12 }, async (_, n) => ({
          peer: await anAgent(stores, { id: `racing-${n}` }),
          found: someOrphans(10),
        })),
      )
      for (const { peer, found } of agents) await orphans.inventory(peer, found, 90)
      const begun = await Promise.all(agents.map(({ peer, found }) => orphans.inventory(peer, found, 90)))
      const removing = begun.map((one) => (one.kind === 'begun' ? one.removing : -1))
      expect(removing.toSorted()).to.deep.equal([...Array(7).fill(0), ...Array(5).fill(10)])
    })
  })

  describe('of a database that was restored', () => {
    it('are removed nowhere from the moment in which an agent connects that is ahead of it', async () => {
      const other = await anAgent(stores, { id: 'bystander' })
      const found = someOrphans(1)
      await orphans.inventory(other, found, 9)
      const agentId = await enrolled(stores, { id: 'ahead' })
      await connected(stores, agentId, { lastEpoch: 0 })
      expect((await stores.orphans.removal()).halted).to.equal(false)
      const ahead = await connected(stores, agentId, { lastEpoch: 41 })
      expect(ahead.epoch).to.equal(42)
      expect(await stores.orphans.removal()).to.deep.include({ halted: true, haltedBy: agentId })
      expect(await orphans.inventory(other, found, 9)).to.deep.include({ removing: 0 })
      expect((await stores.agents.get(ACME, other.agentId))?.statusReason).to.match(/no orphan is removed anywhere/)
      expect(await orphans.eventsOf(ahead)).to.deep.equal(['orphan_removal_halted'])

      // What a person approves is removed; the rest when a person lets it go on.
      await stores.orphans.approve(ofAcme(other.agentId), null, 'user:anna')
      expect(await orphans.inventory(other, found, 9)).to.deep.include({ removing: 1 })
      expect(await stores.orphans.resume('user:anna')).to.deep.include({ halted: false, resumedBy: 'user:anna' })
      const more = someOrphans(1)
      await orphans.inventory(other, more, 9)
      expect(await orphans.inventory(other, more, 9)).to.deep.include({ removing: 1 })
      expect(await orphans.eventsOf(ahead)).to.deep.equal(['orphan_removal_halted', 'orphan_removal_resumed'])
    })

    it('are removed nowhere while a person has stopped it, and whoever stopped it first is named', async () => {
      const peer = await anAgent(stores, { id: 'stopped' })
      const found = someOrphans(1)
      await orphans.inventory(peer, found, 9)
      expect(await stores.orphans.halt('user:anna')).to.deep.include({ halted: true, haltedBy: 'user:anna' })
      expect(await stores.orphans.halt('user:ben')).to.deep.include({ haltedBy: 'user:anna' })
      expect(await orphans.inventory(peer, found, 9)).to.deep.include({ removing: 0 })
      await stores.orphans.resume('user:ben')
      expect(await orphans.inventory(peer, found, 9)).to.deep.include({ removing: 1 })
    })

    it('are not suspected when the agent was welcomed with just the epoch that the database has', async () => {
      const agentId = await enrolled(stores, { id: 'level' })
      for (let epoch = 0; epoch < 5; epoch += 1) await connected(stores, agentId, { lastEpoch: epoch })
      await Promise.all(Array.from({ length: 8 }, () => connected(stores, agentId, { lastEpoch: 5 })))
      expect((await stores.orphans.removal()).halted).to.equal(false)
    })
  })
})
