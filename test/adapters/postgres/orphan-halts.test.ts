/** Where no orphan is removed because the database seems to have been restored, or because a person has stopped it. */
import { expect } from 'chai'
import { createOrphanHalts } from '../../../adapters/postgres/orphan-halts.ts'
import type { Database } from '../../../adapters/postgres/pool.ts'
import type { AgentId, OrgId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import { lockWaits } from '../../support/locks.ts'
import { orphansOf, someOrphans } from '../../support/orphans.ts'
import {
  ACME,
  anAgent,
  connected,
  enrolled,
  GLOBEX,
  ofAcme,
  openStores,
  replicaId,
  type Stores,
} from '../../support/rows.ts'

describe('the removal of orphans', function () {
  this.timeout(60_000)
  let stores: Stores
  let orphans: ReturnType<typeof orphansOf>
  beforeEach(async () => {
    stores = await openStores()
    orphans = orphansOf(stores)
  })
  afterEach(() => stores.close())

  /** Has an orphan that is due at its next inventory. */
  const withOne = async (id: string, orgId: OrgId | null = ACME) => {
    const peer = await anAgent(stores, { id, orgId })
    const found = someOrphans(1)
    await orphans.inventory(peer, found, 9)
    return { peer, next: () => orphans.inventory(peer, found, 9) }
  }
  const enrolledIn = (id: string, orgId: OrgId | null): Promise<AgentId> => enrolled(stores, { id, orgId })
  const heldWhy = async ({ agentId }: Peer, orgId: OrgId = ACME) =>
    (await stores.agents.get(orgId, agentId))?.statusReason

  it('is halted everywhere from the moment in which a shared agent connects that is ahead of the database', async () => {
    const own = await withOne('bystander')
    const shared = await withOne('shared', null)
    const agentId = await enrolledIn('ahead', null)
    await connected(stores, agentId, { lastEpoch: 0 })
    expect((await stores.orphans.removal()).halted).to.equal(false)
    const ahead = await connected(stores, agentId, { lastEpoch: 41 })
    expect(ahead.epoch).to.equal(42)
    expect(await stores.orphans.removal()).to.deep.include({ halted: true, haltedBy: agentId, haltedOrgs: 0, orgs: [] })
    for (const { peer, next } of [own, shared]) {
      expect(await next()).to.deep.include({ removing: 0 })
      expect(await heldWhy(peer)).to.match(/no orphan is removed anywhere/)
    }
    expect(await orphans.eventsOf(ahead, null)).to.deep.equal(['orphan_removal_halted'])

    // What a person approves is removed; the rest when a person lets it go on.
    await stores.orphans.approve(ofAcme(own.peer.agentId), null, 'user:anna')
    expect(await own.next()).to.deep.include({ removing: 1 })
    expect(await stores.orphans.resume('user:anna')).to.deep.include({ halted: false, resumedBy: 'user:anna' })
    expect(await shared.next()).to.deep.include({ removing: 1 })
    expect(await orphans.eventsOf(ahead, null)).to.deep.equal(['orphan_removal_halted', 'orphan_removal_resumed'])
  })

  it('is halted for an org’s own agents, and nobody else’s, by what one of them says of the database', async () => {
    const ours = await withOne('ours')
    const theirs = await withOne('theirs', GLOBEX)
    const shared = await withOne('shared', null)
    const agentId = await enrolledIn('ahead', ACME)
    const ahead = await connected(stores, agentId, { lastEpoch: 41 })
    expect(await ours.next()).to.deep.include({ removing: 0 })
    expect(await heldWhy(ours.peer)).to.match(/no orphan is removed from any own agent of this org/)
    for (const { next } of [theirs, shared]) expect(await next()).to.deep.include({ removing: 1, held: null })

    // Seen for what it is, by its org and by the installation; told once in the agent's history.
    const halt = { haltedBy: agentId }
    expect(await stores.orphans.orgRemoval(ACME)).to.deep.include({ orgId: ACME, halted: true, ...halt })
    expect(await stores.orphans.orgRemoval(GLOBEX)).to.deep.include({ orgId: GLOBEX, halted: false, revision: 1 })
    const { halted, haltedOrgs, orgs } = await stores.orphans.removal()
    expect([halted, haltedOrgs, orgs.length]).to.deep.equal([false, 1, 1])
    expect(orgs[0]).to.include({ orgId: ACME, ...halt })
    expect(orgs[0]?.haltedReason).to.match(/older than agent ahead, .* no orphan of own agents of org acme is removed/)
    expect(await orphans.eventsOf(ahead)).to.deep.equal(['orphan_removal_halted'])

    expect(await stores.orphans.resumeOrg(ACME, 'user:anna', [1])).to.equal(null)
    expect(await stores.orphans.resumeOrg(ACME, 'user:anna', [2])).to.deep.include({
      orgId: ACME,
      halted: false,
      resumedBy: 'user:anna',
      revision: 3,
    })
    expect(await ours.next()).to.deep.include({ removing: 1, heldBefore: true })
    expect(await heldWhy(ours.peer)).to.equal(null)
    expect(await orphans.eventsOf(ahead)).to.deep.equal(['orphan_removal_halted', 'orphan_removal_resumed'])
  })

  it('that is halted everywhere is so for an org that lets its own go on; let go on everywhere, it is for all', async () => {
    const ours = await withOne('ours')
    const theirs = await withOne('theirs', GLOBEX)
    await stores.orphans.haltOrg(ACME, 'user:anna')
    await stores.orphans.haltOrg(GLOBEX, 'user:gus')
    await stores.orphans.halt('user:olga')
    expect(await stores.orphans.resumeOrg(ACME, 'user:anna')).to.deep.include({ halted: false })
    expect(await ours.next()).to.deep.include({ removing: 0 })
    expect(await heldWhy(ours.peer)).to.match(/no orphan is removed anywhere/)
    const { orgs } = await stores.orphans.removal()
    expect(orgs.map(({ orgId, haltedBy }) => [orgId, haltedBy])).to.deep.equal([[GLOBEX, 'user:gus']])

    const { revision } = await stores.orphans.removal()
    expect(await stores.orphans.resume('user:olga', [revision + 1])).to.equal(null)
    expect((await stores.orphans.removal()).haltedOrgs).to.equal(1)
    expect(await stores.orphans.resume('user:olga', [revision])).to.deep.include({
      halted: false,
      haltedOrgs: 0,
      orgs: [],
    })
    // Who of the installation it was is nothing that the org is told.
    expect(await stores.orphans.orgRemoval(GLOBEX)).to.deep.include({ halted: false, resumedBy: 'installation' })
    for (const { next } of [ours, theirs]) expect(await next()).to.deep.include({ removing: 1 })
  })

  it('is over after a restore for every org whose agents come back, before they can have anything removed', async () => {
    const ours = await withOne('ours')
    const theirs = await withOne('theirs', GLOBEX)
    for (const { peer } of [ours, theirs])
      for (let epoch = peer.epoch; epoch < 5; epoch += 1) await connected(stores, peer.agentId)
    // The database of some time ago. The connections of that time are none of its.
    await stores.ask('UPDATE agent_leases SET epoch = 2')
    for (const { peer } of [ours, theirs])
      expect(await orphans.inventory({ ...peer, epoch: 5 }, someOrphans(1), 9)).to.deep.equal({ kind: 'fenced' })

    const back = await connected(stores, ours.peer.agentId, { lastEpoch: 5 })
    const later = someOrphans(1)
    await orphans.inventory(back, later, 9)
    expect(await orphans.inventory(back, later, 9)).to.deep.include({ removing: 0 })
    // Who has not come back yet has said nothing that could be removed; what it says first halts it.
    expect(await theirs.next()).to.deep.equal({ kind: 'fenced' })
    const alsoBack = await connected(stores, theirs.peer.agentId, { lastEpoch: 5 })
    await orphans.inventory(alsoBack, later, 9)
    expect(await orphans.inventory(alsoBack, later, 9)).to.deep.include({ removing: 0 })
    expect((await stores.orphans.removal()).orgs.map(({ orgId }) => orgId)).to.deep.equal([ACME, GLOBEX])
  })

  for (const where of ['an org', 'all'])
    it(`of ${where} that is about to be let go on is halted anew by an agent that connects just then`, async () => {
      const orgId = where === 'an org' ? ACME : null
      const [first, second] = [await enrolledIn('first', orgId), await enrolledIn('second', orgId)]
      await connected(stores, first, { lastEpoch: 41 })
      let connecting: Promise<unknown> = Promise.resolve()
      await stores.database.together(async (bound) => {
        await createOrphanHalts(bound).resume('user:olga')
        connecting = connected(stores, second, { lastEpoch: 99 })
        await lockWaits(stores.ask, 1)
      })
      await connecting
      const { halted, haltedBy, orgs } = await stores.orphans.removal()
      expect(where === 'all' ? [halted, haltedBy] : orgs.map((org) => org.haltedBy)).to.deep.equal(
        where === 'all' ? [true, second] : [second],
      )
    })

  it('is halted by each of many agents that come back at once, for whom each speaks', async () => {
    const agents = await Promise.all(
      Array.from({ length: 12 }, (_, n) => enrolledIn(`back-${n}`, [ACME, GLOBEX, null][n % 3] as OrgId | null)),
    )
    // Two servers, each with half of them, in opposite orders.
    const connecting = agents.map((agentId) => ({
      agentId,
      replicaId,
      version: '2',
      region: null,
      labels: {},
      capacity: { maxSessions: 1, cpuMillis: 1, memoryMib: 1 },
      lastEpoch: 9,
    }))
    await Promise.all([
      stores.leases.connectMany(connecting.slice(0, 6)),
      stores.leases.connectMany(connecting.slice(6).toReversed()),
    ])
    const { halted, haltedOrgs } = await stores.orphans.removal()
    expect([halted, haltedOrgs]).to.deep.equal([true, 2])
  })

  it('is halted while a person has stopped it, and whoever stopped it first is named', async () => {
    const { next } = await withOne('stopped')
    expect(await stores.orphans.halt('user:anna')).to.deep.include({ halted: true, haltedBy: 'user:anna' })
    expect(await stores.orphans.halt('user:ben')).to.deep.include({ haltedBy: 'user:anna' })
    expect(await next()).to.deep.include({ removing: 0 })
    await stores.orphans.resume('user:ben')
    await stores.orphans.haltOrg(ACME, 'user:anna')
    expect(await stores.orphans.haltOrg(ACME, 'user:ben')).to.deep.include({ haltedBy: 'user:anna' })
    expect(await next()).to.deep.include({ removing: 0 })
    await stores.orphans.resumeOrg(ACME, 'user:ben')
    expect(await next()).to.deep.include({ removing: 1 })
  })

  it('is not halted by an agent that was welcomed with just the epoch that the database has', async () => {
    const agentId = await enrolledIn('level', null)
    for (let epoch = 0; epoch < 5; epoch += 1) await connected(stores, agentId, { lastEpoch: epoch })
    await Promise.all(Array.from({ length: 8 }, () => connected(stores, agentId, { lastEpoch: 5 })))
    expect((await stores.orphans.removal()).halted).to.equal(false)
  })

  it('is there for an org that is made later, and gone with one that is deleted', async () => {
    const made = 'made-later' as OrgId
    expect(await stores.orphans.orgRemoval(made)).to.equal(null)
    await stores.orgs.add({ id: made, name: 'Made later' })
    expect(await stores.orphans.haltOrg(made, 'user:anna')).to.deep.include({ halted: true, revision: 2 })
    await stores.orgs.remove(made)
    expect(await stores.orphans.orgRemoval(made)).to.equal(null)
    expect((await stores.orphans.removal()).haltedOrgs).to.equal(0)
  })

  describe('has one revision for all that the installation sees of it, which', () => {
    const shown = async () => (await stores.orphans.removal()).revision
    const isHalted = async (orgId: OrgId) => (await stores.orphans.orgRemoval(orgId))?.halted

    it('each halt of an org raises, and each end of one: whoever has not seen it lifts nothing', async () => {
      await stores.orphans.haltOrg(ACME, 'user:anna')
      const seen = await shown()
      await stores.orphans.haltOrg(GLOBEX, 'user:gus')
      expect(await shown()).to.equal(seen + 1)
      expect(await stores.orphans.resume('user:olga', [seen])).to.equal(null)
      expect(await stores.orphans.halt('user:olga', [seen])).to.equal(null)
      expect((await stores.orphans.removal()).halted).to.equal(false)
      expect([await isHalted(ACME), await isHalted(GLOBEX)]).to.deep.equal([true, true])
      // Once more is no other halt.
      await stores.orphans.haltOrg(GLOBEX, 'user:ben')
      expect(await stores.orphans.halt('user:olga', [seen, seen + 1])).to.deep.include({ revision: seen + 2 })

      await stores.orphans.resumeOrg(ACME, 'user:anna')
      expect(await stores.orphans.resume('user:olga', [seen + 2])).to.equal(null)
      const resumed = await stores.orphans.resume('user:olga', [seen + 3])
      expect(resumed).to.deep.include({ halted: false, haltedOrgs: 0, revision: seen + 5 })
      expect(resumed?.lifted).to.have.length(1)
      expect(resumed?.lifted[0]).to.deep.include({ orgId: GLOBEX, haltedBy: 'user:gus' })
      expect((await stores.orphans.resume('user:olga', [seen + 5]))?.lifted).to.deep.equal([])
      expect(await shown()).to.equal(seen + 5)
    })

    it('orgs raise that are halted and deleted, and no others: nothing is lifted of them, and it never falls', async () => {
      const seen = await shown()
      for (const id of ['halted', 'quiet'] as OrgId[]) await stores.orgs.add({ id, name: id })
      expect(await shown()).to.equal(seen)
      await stores.orphans.haltOrg('halted' as OrgId, 'user:anna')
      for (const id of ['halted', 'quiet'] as OrgId[]) await stores.orgs.remove(id)
      expect(await shown()).to.equal(seen + 2)
      expect(await stores.orphans.resume('user:olga', [seen + 1])).to.equal(null)
      expect((await stores.orphans.resume('user:olga', [seen + 2]))?.lifted).to.deep.equal([])
      expect(await shown()).to.equal(seen + 2)
    })

    /** Something happens right before the nth statement of a transaction. */
    const meddled = (happens: (statement: number) => Promise<unknown>): Database => ({
      ...stores.database,
      transaction: (work) => {
        let asked = 0
        return stores.database.transaction((query) =>
          work(async (statement) => {
            await happens(asked)
            asked += 1
            return query(statement)
          }),
        )
      },
    })

    for (const guarded of [true, false])
      it(`is compared when nothing more can be lifted${guarded ? '' : '; whoever names none is told what was lifted'}`, async () => {
        const done: boolean[] = []
        for (let nth = 0, happened = true; happened; nth += 1) {
          happened = false
          await stores.orphans.haltOrg(ACME, 'user:anna')
          const guard = guarded ? [await shown()] : null
          const halts = createOrphanHalts(
            meddled(async (statement) => {
              if (statement !== nth) return
              happened = true
              await stores.orphans.haltOrg(GLOBEX, 'user:gus')
            }),
          )
          const resumed = await halts.resume('user:olga', guard)
          const lifted = resumed?.lifted.map(({ orgId }) => orgId) ?? []
          if (guarded) expect(lifted, `before statement ${nth}`).to.deep.equal(resumed === null ? [] : [ACME])
          for (const orgId of happened ? [ACME, GLOBEX] : [ACME])
            expect(await isHalted(orgId), `${orgId}, before statement ${nth}`).to.equal(!lifted.includes(orgId))
          if (happened && resumed?.haltedOrgs === 0) expect(lifted, `before statement ${nth}`).to.include(GLOBEX)
          done.push(resumed !== null)
          await stores.orphans.resume('user:olga')
        }
        // Before it is compared and after it.
        expect(new Set(done)).to.deep.equal(new Set(guarded ? [true, false] : [true]))
      })
  })
})
