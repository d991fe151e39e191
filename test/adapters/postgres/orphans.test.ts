import { expect } from 'chai'
import { brake } from '../../../domain/agent/brake.ts'
import { presentStates } from '../../../domain/agent/orphan.ts'
import type { CommandId, SessionId } from '../../../domain/ids.ts'
import type { FoundOrphan } from '../../../domain/ports/orphans.ts'
import { stop } from '../../../domain/session/decide.ts'
import { everything, idsOf, orphansOf, someOrphans } from '../../support/orphans.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import {
  ACME,
  aCreation,
  anAgent,
  anIntent,
  aSessionOn,
  commandsOf,
  commit,
  connected,
  ids,
  ofAcme,
  on,
  openStores,
  right,
  type Stores,
} from '../../support/rows.ts'

describe('orphans', function () {
  this.timeout(120_000)
  let stores: Stores
  let orphans: ReturnType<typeof orphansOf>
  beforeEach(async () => {
    stores = await openStores()
    orphans = orphansOf(stores)
  })
  afterEach(() => stores.close())

  it('are written down once, seen again, and end when an inventory has them no more', async () => {
    const peer = await anAgent(stores, { id: 'seen' })
    const found = someOrphans(3)
    expect(await orphans.record(peer, found)).to.deep.include({ kind: 'recorded', fresh: 3, ended: 0, due: 0 })
    expect(await orphans.record(peer, found)).to.deep.include({ fresh: 0, ended: 0, due: 3 })
    expect((await orphans.listed(peer)).map(({ sessionId }) => sessionId).toSorted()).to.deep.equal(idsOf(found))
    expect(await orphans.record(peer, found.slice(1))).to.deep.include({ fresh: 0, ended: 1, due: 2 })
    expect(await orphans.listed(peer)).to.have.length(2)
    expect((await orphans.listed(peer, ACME, ['gone']))[0]).to.deep.include({ sessionId: found[0]?.entry.sessionId })
    expect(await orphans.eventsOf(peer)).to.deep.equal(['orphans_seen', 'orphans_ended'])
  })

  it('are not due before their grace is over', async () => {
    const peer = await anAgent(stores, { id: 'grace' })
    const found = someOrphans(1)
    await orphans.record(peer, found)
    expect(await orphans.record(peer, found, { graceMs: 60_000 })).to.deep.include({ due: 0 })
    await stores.ask(`UPDATE orphans SET first_seen_at = now() - interval '61 seconds'`)
    expect(await orphans.record(peer, found, { graceMs: 60_000 })).to.deep.include({ due: 1 })
  })

  it('of an epoch that has passed are neither written nor removed', async () => {
    const old = await anAgent(stores, { id: 'fenced' })
    const found = someOrphans(2)
    const recorded = await orphans.record(old, found)
    await connected(stores, old.agentId)
    expect(await orphans.record(old, [])).to.deep.equal({ kind: 'fenced' })
    if (recorded.kind === 'fenced') throw new Error('fenced too soon')
    const later = { at: recorded.at, resources: 100, graceMs: 0 }
    expect(await stores.orphans.remove(old, later, [ids.command()], brake)).to.deep.equal({ kind: 'fenced' })
    expect((await orphans.listed(old)).map(({ state }) => state)).to.deep.equal(['seen', 'seen'])
    expect(await stores.ask('SELECT FROM outbox')).to.have.length(0)
  })

  it('of which the agent has spoken since the inventory are left as they are', async () => {
    const peer = await anAgent(stores, { id: 'spoken' })
    const [gone, fresh] = someOrphans(2)
    if (gone === undefined || fresh === undefined) throw new Error('none')
    await orphans.record(peer, [gone])
    await orphans.record(peer, [fresh], { spokenSince: [gone.entry.sessionId, fresh.entry.sessionId] })
    expect((await orphans.listed(peer)).map(({ sessionId }) => sessionId)).to.deep.equal([gone.entry.sessionId])
  })

  it('are pages, and those of an agent’s id that was another org’s before are not among them', async () => {
    const peer = await anAgent(stores, { id: 'pages' })
    const found = someOrphans(5)
    await orphans.record(peer, found)
    const seen: string[] = []
    for (let cursor: string | null = null; ; ) {
      const page = await stores.orphans.list({ id: peer.agentId, orgId: ACME }, presentStates, { limit: 2, cursor })
      seen.push(...page.items.map(({ sessionId }) => sessionId))
      cursor = page.nextCursor
      if (cursor === null) break
    }
    expect(seen.toSorted()).to.deep.equal(idsOf(found))
    expect(await orphans.listed(peer, null)).to.deep.equal([])
  })

  describe('being removed', () => {
    it('get a command above what the agent has, complete, through the outbox', async () => {
      const peer = await anAgent(stores, { id: 'complete' })
      const found = someOrphans(1, 7)
      await orphans.inventory(peer, found, 9)
      expect(await orphans.inventory(peer, found, 9)).to.deep.include({ kind: 'begun', removing: 1, held: null })
      const [command, ...more] = await stores.due(peer, 10, [])
      expect(more).to.deep.equal([])
      expect(command).to.deep.include({ sessionId: found[0]?.entry.sessionId, generation: 8, type: 'delete_session' })
      expect(command?.desired).to.deep.include({ state: 'deleted', orgId: ACME })
      expect((await orphans.listed(peer))[0]).to.deep.include({ state: 'removing', commandId: command?.commandId })
      // The next inventory that still has it begins nothing a second time.
      await orphans.inventory(peer, found, 9)
      expect(await stores.due(peer, 10, [])).to.have.length(1)
    })

    it('are removed when the agent says so, and the command is done', async () => {
      const peer = await anAgent(stores, { id: 'says-so' })
      const found = someOrphans(1)
      await orphans.inventory(peer, found, 9)
      await orphans.inventory(peer, found, 9)
      const [command] = await stores.due(peer, 10, [])
      const commandId = command?.commandId as CommandId
      expect(await orphans.applied(peer, commandId)).to.deep.equal({ settled: new Set([commandId]), fenced: new Set() })
      expect((await orphans.listed(peer, ACME, ['removed']))[0]).to.deep.include({
        sessionId: found[0]?.entry.sessionId,
      })
      expect((await stores.ask('SELECT status FROM outbox'))[0].status).to.equal('done')
      // Said again, it is no news and no mistake.
      expect(await orphans.applied(peer, commandId)).to.deep.equal({ settled: new Set([commandId]), fenced: new Set() })
      expect(await orphans.eventsOf(peer)).to.deep.equal(['orphans_seen', 'orphan_removal_begun', 'orphans_removed'])
    })

    it('are removed also when the word of it is lost and the next inventory has them no more', async () => {
      const peer = await anAgent(stores, { id: 'lost-word' })
      const found = someOrphans(1)
      await orphans.inventory(peer, found, 9)
      await orphans.inventory(peer, found, 9)
      await orphans.inventory(peer, [], 9)
      expect(await orphans.listed(peer, ACME, ['removed'])).to.have.length(1)
      expect((await stores.ask('SELECT status FROM outbox'))[0].status).to.equal('done')
    })

    it('are settled by nobody but their own agent under its epoch', async () => {
      const peer = await anAgent(stores, { id: 'own' })
      const other = await anAgent(stores, { id: 'other' })
      const found = someOrphans(1)
      await orphans.inventory(peer, found, 9)
      await orphans.inventory(peer, found, 9)
      const commandId = (await stores.due(peer, 10, []))[0]?.commandId as CommandId
      expect((await orphans.applied(other, commandId)).settled).to.deep.equal(new Set())
      await connected(stores, peer.agentId)
      expect(await orphans.applied(peer, commandId)).to.deep.equal({
        settled: new Set(),
        fenced: new Set([peer.agentId]),
      })
      expect((await orphans.listed(peer))[0]?.state).to.equal('removing')
    })

    it('back off and are tried again, and a command that came to nothing gets a new one above it', async () => {
      const peer = await anAgent(stores, { id: 'again' })
      const found = someOrphans(1)
      await orphans.inventory(peer, found, 9)
      await orphans.inventory(peer, found, 9)
      const commandId = (await stores.due(peer, 10, []))[0]?.commandId as CommandId
      const retry = { status: 'pending', error: 'busy: later', retryInMs: 60_000 } as const
      await stores.orphans.settle([{ peer, commandId, fate: retry }])
      expect(await stores.due(peer, 10, [])).to.deep.equal([])
      expect((await stores.ask('SELECT failures FROM outbox'))[0].failures).to.equal(1)
      await stores.orphans.settle([{ peer, commandId, fate: { status: 'dead', error: 'no' } }])
      expect(await orphans.inventory(peer, found, 9)).to.deep.include({ removing: 1, held: null })
      expect((await stores.due(peer, 10, []))[0]).to.deep.include({ generation: 5 })
    })

    it('end with their commands when the agent is removed, and go on counting', async () => {
      const peer = await anAgent(stores, { id: 'leaves' })
      const found = someOrphans(2)
      await orphans.inventory(peer, found, 9)
      await orphans.inventory(peer, found, 9)
      await stores.agents.remove(ofAcme(peer.agentId))
      expect(await stores.ask(`SELECT FROM orphans WHERE ended_at IS NULL`)).to.have.length(0)
      expect((await stores.ask('SELECT DISTINCT status FROM outbox')).map(({ status }) => status)).to.deep.equal([
        'cancelled',
      ])
      const back = await anAgent(stores, { id: 'leaves' })
      const more = someOrphans(9)
      await orphans.inventory(back, more, 91)
      expect(await orphans.inventory(back, more, 91)).to.deep.include({ removing: 0 })
    })
  })

  describe('of another agent’s session', () => {
    const moved = async () => {
      const [mine, theirs] = [await anAgent(stores, { id: 'mine' }), await anAgent(stores, { id: 'theirs' })]
      const session = await aSessionOn(stores, theirs.agentId)
      const orphan: FoundOrphan = {
        entry: { sessionId: session.id, generation: session.generation, status: 'running' },
        reason: 'not_yours',
      }
      await orphans.inventory(mine, [orphan], 9)
      expect(await orphans.inventory(mine, [orphan], 9)).to.deep.include({ removing: 1 })
      return { mine, theirs, session, orphan }
    }

    it('are removed without a trace in that session, its commands or its history', async () => {
      const { mine, theirs, session } = await moved()
      expect(await stores.due(mine, 10, [])).to.have.length(1)
      const commands = await commandsOf(stores, session.id)
      expect(commands.map((row) => [row.agent_id, row.status])).to.deep.equal([[theirs.agentId, 'pending']])
      const [, row] = await Promise.all([
        orphans.applied(mine, (await stores.due(mine, 10, []))[0]?.commandId as CommandId),
        stores.sessions.loadMany([session.id]),
      ])
      expect(row).to.deep.equal([session])
      expect((await commandsOf(stores, session.id)).map(({ status }) => status)).to.deep.equal(['pending'])
      const history = await stores.queries.events({ orgId: ACME, ownerId: null }, session.id, everything)
      expect(history?.items.map(({ type }) => type)).to.deep.equal(['created'])
    })

    it('go on being removed whatever is asked of the session, or sent to it again', async () => {
      const { mine, session } = await moved()
      await commit(stores, right(stop(session, anIntent())))
      await stores.reports.redeliver([session.id])
      const [removal] = await stores.due(mine, 10, [])
      expect(removal).to.deep.include({ sessionId: session.id, type: 'delete_session', generation: 2 })
    })

    it('do not keep it from coming to this agent at the very generation of their removal', async () => {
      const mine = await anAgent(stores, { id: 'mine' })
      const orphan = someOrphans(1, 0)
      await orphans.inventory(mine, orphan, 9)
      await orphans.inventory(mine, orphan, 9)
      const id = orphan[0]?.entry.sessionId as SessionId
      await commit(stores, aCreation(on(mine.agentId), { id }))
      expect((await stores.due(mine, 10, [])).map(({ type, generation }) => [type, generation])).to.deep.equal([
        ['delete_session', 1],
        ['start_session', 1],
      ])
      // From the next inventory on it is no orphan any more, and nothing removes it.
      await orphans.inventory(mine, [], 10)
      expect(await orphans.listed(mine, ACME, ['known'])).to.have.length(1)
      expect((await stores.due(mine, 10, [])).map(({ type }) => type)).to.deep.equal(['start_session'])
    })
  })

  it('that a session of this very agent explains are removed by nobody', async () => {
    const peer = await anAgent(stores, { id: 'own-session' })
    const session = await aSessionOn(stores, peer.agentId)
    const liar: FoundOrphan = {
      entry: { sessionId: session.id, generation: 5_000_000, status: 'running' },
      reason: 'unknown',
    }
    await orphans.inventory(peer, [liar], 9)
    expect(await orphans.record(peer, [liar], { sessions: 9 })).to.deep.include({ due: 0 })
    expect(await stores.orphans.approve(ofAcme(peer.agentId), null, 'user:anna')).to.deep.equal({
      kind: 'approved',
      count: 0,
    })
    expect(await stores.orphans.approve(ofAcme(peer.agentId), [session.id], 'user:anna')).to.deep.equal({
      kind: 'missing',
      sessionIds: [session.id],
    })
  })

  it('five thousand of five thousand are a few statements, and all held', async () => {
    let tries = 0
    await quickestOf(3, 15_000, async () => {
      tries += 1
      const peer = await anAgent(stores, { id: `many-${tries}` })
      const found = someOrphans(5_000)
      return timed(async () => {
        expect(await orphans.inventory(peer, found)).to.deep.include({ removing: 0 })
        expect(await orphans.inventory(peer, found)).to.deep.include({ removing: 0 })
        expect(await stores.orphans.approve(ofAcme(peer.agentId), null, 'user:anna')).to.deep.include({ count: 5_000 })
        const commands = Array.from({ length: 5_000 }, () => ids.command())
        expect(await stores.orphans.removeApproved(ofAcme(peer.agentId), commands)).to.equal(5_000)
      })
    })
  })
})
