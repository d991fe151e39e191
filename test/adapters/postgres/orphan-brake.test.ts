import { expect } from 'chai'
import type { OrgId } from '../../../domain/ids.ts'
import { idsOf, orphansOf, someOrphans } from '../../support/orphans.ts'
import { ACME, agentNamed, anAgent, GLOBEX, ids, ofAcme, openStores, type Stores } from '../../support/rows.ts'

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

    it('use up the limit of nobody but those that share it: an org’s own agents, or all that are shared', async () => {
      // More than any limit over all of them, and of the largest there are sessions that would raise it.
      const of = async (orgId: OrgId | null, name: string, count: number) =>
        Promise.all(
          Array.from({ length: count }, async (_, n) => ({
            peer: await anAgent(stores, { id: `${name}-${n}`, orgId }),
            found: someOrphans(10),
          })),
        )
      const removedOf = async (agents: Awaited<ReturnType<typeof of>>): Promise<number> => {
        let removed = 0
        for (const { peer, found } of agents) await orphans.inventory(peer, found, 90)
        for (const { peer, found } of agents) {
          const begun = await orphans.inventory(peer, found, 90)
          removed += begun.kind === 'begun' ? begun.removing : 0
        }
        return removed
      }
      const large = await anAgent(stores, { id: 'large', orgId: GLOBEX })
      await orphans.record(large, [], { sessions: 40_000 })
      expect(await removedOf(await of(ACME, 'acme', 7))).to.equal(50)
      expect(await removedOf(await of(null, 'shared', 7))).to.equal(50)
      expect(await removedOf(await of(GLOBEX, 'globex', 7))).to.equal(70)
      expect((await stores.agents.get(ACME, agentNamed('acme-6')))?.statusReason).to.match(/all own agents of the org/)
      expect((await stores.agents.get(ACME, agentNamed('shared-6')))?.statusReason).to.match(/all shared agents/)
    })

    it('of all agents that share a limit are bounded, however many servers judge at the same moment', async () => {
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
})
