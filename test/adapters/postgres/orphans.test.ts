import { expect } from 'chai'
import { brake } from '../../../domain/agent/brake.ts'
import { presentStates } from '../../../domain/agent/orphan.ts'
import type { CommandId, OrgId, SessionId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { FoundOrphan } from '../../../domain/ports/orphans.ts'
import { stop } from '../../../domain/session/decide.ts'
import {
  ACME,
  aCreation,
  anAgent,
  anIntent,
  aSessionOn,
  commandsOf,
  commit,
  connected,
  enrolled,
  ids,
  on,
  openStores,
  right,
  type Stores,
} from '../../support/rows.ts'

const someOrphans = (count: number, generation = 3): readonly FoundOrphan[] =>
  Array.from({ length: count }, () => ({
    entry: { sessionId: ids.session(), generation, status: 'running' },
    reason: 'unknown',
  }))
const idsOf = (found: readonly FoundOrphan[]) => found.map(({ entry }) => entry.sessionId).toSorted()
const everything = { limit: 500, cursor: null }

describe('orphans', function () {
  this.timeout(60_000)
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const record = (
    peer: Peer,
    found: readonly FoundOrphan[],
    more: { sessions?: number; graceMs?: number; spokenSince?: readonly SessionId[] } = {},
  ) =>
    stores.orphans.record(peer, {
      found,
      sessions: more.sessions ?? 0,
      graceMs: more.graceMs ?? 0,
      spokenSince: new Set(more.spokenSince ?? []),
    })
  /** One inventory as the use case has it: recorded, and what is due removed if the brake allows. */
  const inventory = async (peer: Peer, found: readonly FoundOrphan[], sessions = 0, graceMs = 0) => {
    const recorded = await record(peer, found, { sessions, graceMs })
    if (recorded.kind === 'fenced') return recorded
    const commands = Array.from({ length: recorded.due }, () => ids.command())
    const resources = sessions + found.length
    return stores.orphans.remove(peer, { at: recorded.at, resources, graceMs }, commands, brake)
  }
  const listed = async (peer: Peer, orgId: OrgId | null = ACME, states: readonly string[] = presentStates) =>
    (await stores.orphans.list({ id: peer.agentId, orgId }, states as never, everything)).items
  const eventsOf = async (peer: Peer) =>
    (await stores.orphans.events(peer.agentId, everything)).items.map(({ type }) => type)
  const applied = (peer: Peer, commandId: CommandId) =>
    stores.orphans.settle([{ peer, commandId, fate: { status: 'done', error: null } }])

  it('are written down once, seen again, and end when an inventory has them no more', async () => {
    const peer = await anAgent(stores, { id: 'seen' })
    const found = someOrphans(3)
    expect(await record(peer, found)).to.deep.include({ kind: 'recorded', fresh: 3, ended: 0, due: 0 })
    expect(await record(peer, found)).to.deep.include({ fresh: 0, ended: 0, due: 3 })
    expect((await listed(peer)).map(({ sessionId }) => sessionId).toSorted()).to.deep.equal(idsOf(found))
    expect(await record(peer, found.slice(1))).to.deep.include({ fresh: 0, ended: 1, due: 2 })
    expect(await listed(peer)).to.have.length(2)
    expect((await listed(peer, ACME, ['gone']))[0]).to.deep.include({ sessionId: found[0]?.entry.sessionId })
    expect(await eventsOf(peer)).to.deep.equal(['orphans_seen', 'orphans_ended'])
  })

  it('are not due before their grace is over', async () => {
    const peer = await anAgent(stores, { id: 'grace' })
    const found = someOrphans(1)
    await record(peer, found)
    expect(await record(peer, found, { graceMs: 60_000 })).to.deep.include({ due: 0 })
    await stores.ask(`UPDATE orphans SET first_seen_at = now() - interval '61 seconds'`)
    expect(await record(peer, found, { graceMs: 60_000 })).to.deep.include({ due: 1 })
  })

  it('of an epoch that has passed are neither written nor removed', async () => {
    const old = await anAgent(stores, { id: 'fenced' })
    const found = someOrphans(2)
    const recorded = await record(old, found)
    await connected(stores, old.agentId)
    expect(await record(old, [])).to.deep.equal({ kind: 'fenced' })
    if (recorded.kind === 'fenced') throw new Error('fenced too soon')
    const later = { at: recorded.at, resources: 100, graceMs: 0 }
    expect(await stores.orphans.remove(old, later, [ids.command()], brake)).to.deep.equal({ kind: 'fenced' })
    expect((await listed(old)).map(({ state }) => state)).to.deep.equal(['seen', 'seen'])
    expect(await stores.ask('SELECT FROM outbox')).to.have.length(0)
  })

  it('of which the agent has spoken since the inventory are left as they are', async () => {
    const peer = await anAgent(stores, { id: 'spoken' })
    const [gone, fresh] = someOrphans(2)
    if (gone === undefined || fresh === undefined) throw new Error('none')
    await record(peer, [gone])
    await record(peer, [fresh], { spokenSince: [gone.entry.sessionId, fresh.entry.sessionId] })
    expect((await listed(peer)).map(({ sessionId }) => sessionId)).to.deep.equal([gone.entry.sessionId])
  })

  it('are pages, and those of an agent’s id that was another org’s before are not among them', async () => {
    const peer = await anAgent(stores, { id: 'pages' })
    const found = someOrphans(5)
    await record(peer, found)
    const seen: string[] = []
    for (let cursor: string | null = null; ; ) {
      const page = await stores.orphans.list({ id: peer.agentId, orgId: ACME }, presentStates, { limit: 2, cursor })
      seen.push(...page.items.map(({ sessionId }) => sessionId))
      cursor = page.nextCursor
      if (cursor === null) break
    }
    expect(seen.toSorted()).to.deep.equal(idsOf(found))
    expect(await listed(peer, null)).to.deep.equal([])
  })

  describe('being removed', () => {
    it('get a command above what the agent has, complete, through the outbox', async () => {
      const peer = await anAgent(stores, { id: 'complete' })
      const found = someOrphans(1, 7)
      await inventory(peer, found, 9)
      expect(await inventory(peer, found, 9)).to.deep.include({ kind: 'begun', removing: 1, held: null })
      const [command, ...more] = await stores.due(peer, 10, [])
      expect(more).to.deep.equal([])
      expect(command).to.deep.include({ sessionId: found[0]?.entry.sessionId, generation: 8, type: 'delete_session' })
      expect(command?.desired).to.deep.include({ state: 'deleted', orgId: ACME })
      expect((await listed(peer))[0]).to.deep.include({ state: 'removing', commandId: command?.commandId })
      // The next inventory that still has it begins nothing a second time.
      await inventory(peer, found, 9)
      expect(await stores.due(peer, 10, [])).to.have.length(1)
    })

    it('are removed when the agent says so, and the command is done', async () => {
      const peer = await anAgent(stores, { id: 'says-so' })
      const found = someOrphans(1)
      await inventory(peer, found, 9)
      await inventory(peer, found, 9)
      const [command] = await stores.due(peer, 10, [])
      const commandId = command?.commandId as CommandId
      expect(await applied(peer, commandId)).to.deep.equal({ settled: new Set([commandId]), fenced: new Set() })
      expect((await listed(peer, ACME, ['removed']))[0]).to.deep.include({ sessionId: found[0]?.entry.sessionId })
      expect((await stores.ask('SELECT status FROM outbox'))[0].status).to.equal('done')
      // Said again, it is no news and no mistake.
      expect(await applied(peer, commandId)).to.deep.equal({ settled: new Set([commandId]), fenced: new Set() })
      expect(await eventsOf(peer)).to.deep.equal(['orphans_seen', 'orphan_removal_begun', 'orphans_removed'])
    })

    it('are removed also when the word of it is lost and the next inventory has them no more', async () => {
      const peer = await anAgent(stores, { id: 'lost-word' })
      const found = someOrphans(1)
      await inventory(peer, found, 9)
      await inventory(peer, found, 9)
      await inventory(peer, [], 9)
      expect(await listed(peer, ACME, ['removed'])).to.have.length(1)
      expect((await stores.ask('SELECT status FROM outbox'))[0].status).to.equal('done')
    })

    it('are settled by nobody but their own agent under its epoch', async () => {
      const peer = await anAgent(stores, { id: 'own' })
      const other = await anAgent(stores, { id: 'other' })
      const found = someOrphans(1)
      await inventory(peer, found, 9)
      await inventory(peer, found, 9)
      const commandId = (await stores.due(peer, 10, []))[0]?.commandId as CommandId
      expect((await applied(other, commandId)).settled).to.deep.equal(new Set())
      await connected(stores, peer.agentId)
      expect(await applied(peer, commandId)).to.deep.equal({ settled: new Set(), fenced: new Set([peer.agentId]) })
      expect((await listed(peer))[0]?.state).to.equal('removing')
    })

    it('back off and are tried again, and a command that came to nothing gets a new one above it', async () => {
      const peer = await anAgent(stores, { id: 'again' })
      const found = someOrphans(1)
      await inventory(peer, found, 9)
      await inventory(peer, found, 9)
      const commandId = (await stores.due(peer, 10, []))[0]?.commandId as CommandId
      const retry = { status: 'pending', error: 'busy: later', retryInMs: 60_000 } as const
      await stores.orphans.settle([{ peer, commandId, fate: retry }])
      expect(await stores.due(peer, 10, [])).to.deep.equal([])
      expect((await stores.ask('SELECT failures FROM outbox'))[0].failures).to.equal(1)
      await stores.orphans.settle([{ peer, commandId, fate: { status: 'dead', error: 'no' } }])
      expect(await inventory(peer, found, 9)).to.deep.include({ removing: 1, held: null })
      expect((await stores.due(peer, 10, []))[0]).to.deep.include({ generation: 5 })
    })

    it('end with their commands when the agent is removed, and go on counting', async () => {
      const peer = await anAgent(stores, { id: 'leaves' })
      const found = someOrphans(2)
      await inventory(peer, found, 9)
      await inventory(peer, found, 9)
      await stores.agents.remove(peer.agentId)
      expect(await stores.ask(`SELECT FROM orphans WHERE ended_at IS NULL`)).to.have.length(0)
      expect((await stores.ask('SELECT DISTINCT status FROM outbox')).map(({ status }) => status)).to.deep.equal([
        'cancelled',
      ])
      const back = await anAgent(stores, { id: 'leaves' })
      const more = someOrphans(9)
      await inventory(back, more, 91)
      expect(await inventory(back, more, 91)).to.deep.include({ removing: 0 })
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
      await inventory(mine, [orphan], 9)
      expect(await inventory(mine, [orphan], 9)).to.deep.include({ removing: 1 })
      return { mine, theirs, session, orphan }
    }

    it('are removed without a trace in that session, its commands or its history', async () => {
      const { mine, theirs, session } = await moved()
      expect(await stores.due(mine, 10, [])).to.have.length(1)
      const commands = await commandsOf(stores, session.id)
      expect(commands.map((row) => [row.agent_id, row.status])).to.deep.equal([[theirs.agentId, 'pending']])
      const [, row] = await Promise.all([
        applied(mine, (await stores.due(mine, 10, []))[0]?.commandId as CommandId),
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
      await inventory(mine, orphan, 9)
      await inventory(mine, orphan, 9)
      const id = orphan[0]?.entry.sessionId as SessionId
      await commit(stores, aCreation(on(mine.agentId), { id }))
      expect((await stores.due(mine, 10, [])).map(({ type, generation }) => [type, generation])).to.deep.equal([
        ['delete_session', 1],
        ['start_session', 1],
      ])
      // From the next inventory on it is no orphan any more, and nothing removes it.
      await inventory(mine, [], 10)
      expect(await listed(mine, ACME, ['known'])).to.have.length(1)
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
    await inventory(peer, [liar], 9)
    expect(await record(peer, [liar], { sessions: 9 })).to.deep.include({ due: 0 })
    expect(await stores.orphans.approve(peer.agentId, null, 'user:anna')).to.deep.equal({ kind: 'approved', count: 0 })
    expect(await stores.orphans.approve(peer.agentId, [session.id], 'user:anna')).to.deep.equal({
      kind: 'missing',
      sessionIds: [session.id],
    })
  })

  describe('beyond the brake', () => {
    it('are not removed, not one of them; the agent says why, once in its history', async () => {
      const peer = await anAgent(stores, { id: 'held' })
      const found = someOrphans(20)
      await inventory(peer, found)
      for (let n = 0; n < 3; n += 1) {
        const begun = await inventory(peer, found)
        expect(begun).to.deep.include({ kind: 'begun', removing: 0, heldBefore: n > 0 })
      }
      expect(await stores.due(peer, 100, [])).to.deep.equal([])
      const agent = await stores.agents.get(ACME, peer.agentId)
      expect(agent?.status).to.equal('online')
      expect(agent?.statusReason).to.match(/^orphans: 20 to remove, and at most 10 of the 20 .* operator approves$/)
      expect(await eventsOf(peer)).to.deep.equal(['orphans_seen', 'orphan_removal_held'])
    })

    it('are held no longer once there are few enough', async () => {
      const peer = await anAgent(stores, { id: 'fewer' })
      const found = someOrphans(20)
      await inventory(peer, found)
      await inventory(peer, found)
      expect(await inventory(peer, found.slice(0, 4), 16)).to.deep.include({
        removing: 4,
        held: null,
        heldBefore: true,
      })
      expect((await stores.agents.get(ACME, peer.agentId))?.statusReason).to.equal(null)
    })

    it('are removed when an operator approves: those that are named, or all that are there', async () => {
      const peer = await anAgent(stores, { id: 'approved' })
      const found = someOrphans(20)
      await inventory(peer, found)
      await inventory(peer, found)
      const named = idsOf(found).slice(0, 12)
      const stranger = ids.session()
      expect(await stores.orphans.approve(peer.agentId, [...named, stranger], 'user:anna')).to.deep.equal({
        kind: 'missing',
        sessionIds: [stranger],
      })
      expect((await listed(peer)).every(({ state }) => state === 'seen')).to.equal(true)
      expect(await stores.orphans.approve(peer.agentId, named, 'user:anna')).to.deep.equal({
        kind: 'approved',
        count: 12,
      })
      const commands = Array.from({ length: 50 }, () => ids.command())
      expect(await stores.orphans.removeApproved(peer.agentId, commands)).to.equal(12)
      expect((await stores.due(peer, 100, [])).map(({ sessionId }) => sessionId).toSorted()).to.deep.equal(named)
      expect((await stores.agents.get(ACME, peer.agentId))?.statusReason).to.match(/^orphans: /)
      expect(await stores.orphans.approve(peer.agentId, null, 'user:ben')).to.deep.equal({ kind: 'approved', count: 8 })
      expect((await stores.agents.get(ACME, peer.agentId))?.statusReason).to.equal(null)
      // Had the server been killed here: the next inventory begins what is approved.
      expect(await inventory(peer, found)).to.deep.include({ removing: 8, held: null })
      expect((await listed(peer)).map(({ approvedBy }) => approvedBy).filter((by) => by === 'user:ben')).to.have.length(
        8,
      )
    })

    it('and approved count for nothing: what is due later has the whole limit', async () => {
      const peer = await anAgent(stores, { id: 'no-count' })
      const found = someOrphans(30)
      await inventory(peer, found, 70)
      await stores.orphans.approve(peer.agentId, null, 'user:anna')
      await inventory(peer, found, 70)
      const more = someOrphans(10)
      await inventory(peer, more, 90)
      expect(await inventory(peer, more, 90)).to.deep.include({ removing: 10 })
    })

    it('count for a day', async () => {
      const peer = await anAgent(stores, { id: 'a-day' })
      const [first, second] = [someOrphans(8), someOrphans(3)]
      await inventory(peer, first, 92)
      await inventory(peer, first, 92)
      await inventory(peer, second, 97)
      expect(await inventory(peer, second, 97)).to.deep.include({ removing: 0 })
      await stores.ask(
        `UPDATE orphans SET removal_begun_at = now() - interval '1441 minutes' WHERE removal_begun_at IS NOT NULL`,
      )
      expect(await inventory(peer, second, 97)).to.deep.include({ removing: 3 })
    })

    it('of all agents together are bounded, however many servers judge at the same moment', async () => {
      const agents = await Promise.all(
        Array.from({ length: 12 }, async (_, n) => ({
          peer: await anAgent(stores, { id: `racing-${n}` }),
          found: someOrphans(10),
        })),
      )
      for (const { peer, found } of agents) await inventory(peer, found, 90)
      const begun = await Promise.all(agents.map(({ peer, found }) => inventory(peer, found, 90)))
      const removing = begun.map((one) => (one.kind === 'begun' ? one.removing : -1))
      expect(removing.toSorted()).to.deep.equal([...Array(7).fill(0), ...Array(5).fill(10)])
    })
  })

  describe('of a database that was restored', () => {
    it('are removed nowhere from the moment in which an agent connects that is ahead of it', async () => {
      const other = await anAgent(stores, { id: 'bystander' })
      const found = someOrphans(1)
      await inventory(other, found, 9)
      const agentId = await enrolled(stores, { id: 'ahead' })
      await connected(stores, agentId, { lastEpoch: 0 })
      expect((await stores.orphans.removal()).halted).to.equal(false)
      const ahead = await connected(stores, agentId, { lastEpoch: 41 })
      expect(ahead.epoch).to.equal(42)
      expect(await stores.orphans.removal()).to.deep.include({ halted: true, haltedBy: agentId })
      expect(await inventory(other, found, 9)).to.deep.include({ removing: 0 })
      expect((await stores.agents.get(ACME, other.agentId))?.statusReason).to.match(/no orphan is removed anywhere/)
      expect(await eventsOf(ahead)).to.deep.equal(['orphan_removal_halted'])

      // What a person approves is removed; the rest when a person lets it go on.
      await stores.orphans.approve(other.agentId, null, 'user:anna')
      expect(await inventory(other, found, 9)).to.deep.include({ removing: 1 })
      expect(await stores.orphans.resume('user:anna')).to.deep.include({ halted: false, resumedBy: 'user:anna' })
      const more = someOrphans(1)
      await inventory(other, more, 9)
      expect(await inventory(other, more, 9)).to.deep.include({ removing: 1 })
      expect(await eventsOf(ahead)).to.deep.equal(['orphan_removal_halted', 'orphan_removal_resumed'])
    })

    it('are removed nowhere while a person has stopped it, and whoever stopped it first is named', async () => {
      const peer = await anAgent(stores, { id: 'stopped' })
      const found = someOrphans(1)
      await inventory(peer, found, 9)
      expect(await stores.orphans.halt('user:anna')).to.deep.include({ halted: true, haltedBy: 'user:anna' })
      expect(await stores.orphans.halt('user:ben')).to.deep.include({ haltedBy: 'user:anna' })
      expect(await inventory(peer, found, 9)).to.deep.include({ removing: 0 })
      await stores.orphans.resume('user:ben')
      expect(await inventory(peer, found, 9)).to.deep.include({ removing: 1 })
    })

    it('are not suspected when the agent was welcomed with just the epoch that the database has', async () => {
      const agentId = await enrolled(stores, { id: 'level' })
      for (let epoch = 0; epoch < 5; epoch += 1) await connected(stores, agentId, { lastEpoch: epoch })
      await Promise.all(Array.from({ length: 8 }, () => connected(stores, agentId, { lastEpoch: 5 })))
      expect((await stores.orphans.removal()).halted).to.equal(false)
    })
  })

  it('five thousand of five thousand are a few statements, and all held', async () => {
    const peer = await anAgent(stores, { id: 'many' })
    const found = someOrphans(5_000)
    const began = performance.now()
    expect(await inventory(peer, found)).to.deep.include({ removing: 0 })
    expect(await inventory(peer, found)).to.deep.include({ removing: 0 })
    expect(await stores.orphans.approve(peer.agentId, null, 'user:anna')).to.deep.include({ count: 5_000 })
    const commands = Array.from({ length: 5_000 }, () => ids.command())
    expect(await stores.orphans.removeApproved(peer.agentId, commands)).to.equal(5_000)
    expect(performance.now() - began).to.be.lessThan(15_000)
  })
})
