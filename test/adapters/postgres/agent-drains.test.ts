/** The draining of agents on a real database: the duty over the stores, as the server has them. */
import { expect } from 'chai'
import { slotFor } from '../../../domain/placement/slot.ts'
import { hibernate, remove, start, stop, update } from '../../../domain/session/decide.ts'
import { arrive } from '../../../domain/session/move.ts'
import { draining } from '../../support/draining.ts'
import {
  ACME,
  anAgent,
  anIntent,
  commandsOf,
  commit,
  enrolled,
  GLOBEX,
  ofAcme,
  on,
  PLENTY,
  right,
  theSession,
} from '../../support/rows.ts'

const everything = { limit: 500, cursor: null }

describe('the draining of an agent', function () {
  this.timeout(120_000)
  const scene = draining()
  const { beat, says, runningOn, begin, run, moves, figures, consistent, restingHere } = scene

  it('puts a session to rest, and starts it elsewhere when its agent has said that it rests', async () => {
    const session = await runningOn(scene.here)
    await begin()
    expect((await scene.stores.agents.get(ACME, scene.here.agentId))?.draining).to.equal(true)
    expect(await figures()).to.deep.equal([1, 0, 1])
    expect(await run()).to.deep.equal({ told: { draining: 1, left: 1, arrived: 0 }, woken: [scene.here.agentId] })
    const leaving = await theSession(scene.stores, session.id)
    expect(leaving).to.deep.include({ status: 'hibernating', statusReason: 'draining', agentId: scene.here.agentId })
    expect(await figures()).to.deep.equal([1, 1, 0])
    // Until that is said, nothing is started anywhere.
    expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })

    await says(scene.here, leaving, 'hibernated')
    // Nothing of it runs here, but it does not run elsewhere yet.
    expect(await figures()).to.deep.equal([1, 1, 0])
    expect(await run()).to.deep.equal({ told: { draining: 1, left: 0, arrived: 1 }, woken: [scene.there.agentId] })
    const arrived = await theSession(scene.stores, session.id)
    expect(arrived).to.deep.include({ status: 'scheduling', desiredState: 'running', agentId: scene.there.agentId })
    expect((await commandsOf(scene.stores, session.id)).map(({ type, agent_id }) => [type, agent_id])).to.deep.equal([
      ['start_session', 'here'],
      ['hibernate_session', 'here'],
      ['wake_session', 'there'],
    ])
    expect(await moves()).to.deep.equal([])
    await consistent()
  })

  it('leaves alone what has its home there, was made for it, or fits nowhere else, and says so', async () => {
    const home = await runningOn(scene.here, { persistentHome: true })
    const asked = await runningOn(scene.here, {
      placement: { platforms: ['process'], platform: null, region: null, agentId: scene.here.agentId },
    })
    const large = await runningOn(scene.here, {
      placement: { platforms: ['process'], platform: null, region: 'moon', agentId: null },
    })
    await begin()
    expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })
    for (const { id } of [home, asked, large]) expect((await theSession(scene.stores, id)).status).to.equal('running')
    expect(await figures()).to.deep.equal([3, 0, 1])
  })

  it('moves no more than there is room for elsewhere', async () => {
    const narrow = await anAgent(scene.stores, { id: 'narrow', capacity: { ...PLENTY, maxSessions: 2 } })
    await beat(narrow)
    await scene.stores.agents.setCordoned(ofAcme(scene.there.agentId), true)
    for (let made = 0; made < 5; made += 1) await runningOn(scene.here)
    await begin()
    expect((await run()).told).to.deep.include({ left: 2 })
    expect(await figures()).to.deep.equal([5, 2, 3])
  })

  it('moves a few at a time, past those that cannot leave', async () => {
    for (let made = 0; made < 30; made += 1)
      await runningOn(scene.here, { placement: { platforms: ['docker'], platform: null, region: null, agentId: null } })
    for (let made = 0; made < 25; made += 1) await runningOn(scene.here)
    await begin()
    expect((await run()).told).to.deep.include({ left: 20 })
    expect((await run()).told).to.deep.include({ left: 0 })
    const [first] = await moves()
    await says(scene.here, await theSession(scene.stores, first.session_id), 'hibernated')
    expect((await run()).told).to.deep.include({ left: 1, arrived: 1 })
    await consistent()
  })

  it('does nothing to what an agent that is away has: it could not be told', async () => {
    const session = await runningOn(scene.here)
    await begin()
    await scene.stores.ask(
      `UPDATE agent_liveness SET last_heartbeat_at = now() - interval '1 hour' WHERE agent_id = 'here'`,
    )
    expect((await run()).told).to.deep.include({ left: 0 })
    expect((await theSession(scene.stores, session.id)).generation).to.equal(1)
  })

  it('is over for a session of which something else is asked meanwhile', async () => {
    const session = await runningOn(scene.here)
    await begin()
    await run()
    const leaving = await says(scene.here, await theSession(scene.stores, session.id), 'hibernated')
    await commit(scene.stores, right(start(leaving, 'wake', on(scene.there.agentId), anIntent())))
    const generation = (await theSession(scene.stores, session.id)).generation
    await run()
    expect(await moves()).to.deep.equal([])
    expect((await theSession(scene.stores, session.id)).generation).to.equal(generation)
  })

  const wishes = [
    { wish: 'hibernated', status: 'hibernating', act: hibernate },
    { wish: 'stopped', status: 'stopping', act: stop },
    { wish: 'deleted', status: 'deleting', act: remove },
  ] as const
  for (const { wish, status, act } of wishes)
    it(`wakes nothing that its user has ${wish} while it rested: that wish is the later one, and the drain is done`, async () => {
      const resting = await restingHere()
      expect(resting).to.include({ status: 'hibernated', statusReason: 'draining' })
      await commit(scene.stores, right(act(resting, anIntent())))
      // Also before the duty has looked: who waits for the drain waits for what moves, and it does not.
      expect(await figures()).to.deep.equal([0, 0, 0])
      expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })
      const asked = await theSession(scene.stores, resting.id)
      expect(asked).to.include({ status, statusReason: 'by_request', desiredState: wish })
      expect(asked.generation).to.equal(resting.generation + 1)
      expect(await moves()).to.deep.equal([])
      expect(await scene.stores.drains.underWay(10)).to.deep.equal([{ agentId: scene.here.agentId, moving: 0 }])
      await consistent()
    })

  it('leaves what its user has put to rest at rest; woken later, it starts where there is room', async () => {
    const resting = await restingHere()
    await commit(scene.stores, right(hibernate(resting, anIntent())))
    const his = await says(scene.here, await theSession(scene.stores, resting.id), 'hibernated')
    expect(his).to.include({ status: 'hibernated', statusReason: 'by_request', agentId: scene.here.agentId })
    expect((await run()).told).to.deep.include({ left: 0, arrived: 0 })
    expect(await theSession(scene.stores, resting.id)).to.deep.equal(his)
    const slot = slotFor(his, await scene.stores.agents.candidates(his.orgId))
    await commit(scene.stores, right(start(his, 'wake', slot, anIntent())))
    expect(await theSession(scene.stores, resting.id)).to.include({
      status: 'scheduling',
      agentId: scene.there.agentId,
    })
    await consistent()
  })

  it('does not start what its user has put to rest between its look and its write', async () => {
    const resting = await restingHere()
    const [move] = await scene.stores.drains.moves(10)
    await commit(scene.stores, right(hibernate(resting, anIntent())))
    const late = right(arrive(move?.session ?? resting, on(scene.there.agentId), anIntent({ actor: 'drain' })))
    expect((await scene.stores.drains.arrive(late))._tag).to.equal('Left')
    expect(await theSession(scene.stores, resting.id)).to.include({
      desiredState: 'hibernated',
      agentId: scene.here.agentId,
    })
  })

  it('goes on with a session that is given another name while it rests', async () => {
    const resting = await restingHere()
    await commit(scene.stores, update(resting, { name: 'Another name' }, anIntent()))
    expect((await run()).told).to.deep.include({ arrived: 1 })
    expect(await theSession(scene.stores, resting.id)).to.include({
      name: 'Another name',
      agentId: scene.there.agentId,
    })
  })

  it('ends with the uncordoning: what is on its way is started all the same, and nothing more leaves', async () => {
    const session = await runningOn(scene.here)
    await begin()
    await run()
    await scene.stores.agents.setCordoned(ofAcme(scene.here.agentId), false)
    expect((await scene.stores.agents.get(ACME, scene.here.agentId))?.draining).to.equal(false)
    await runningOn(scene.here)
    await says(scene.here, await theSession(scene.stores, session.id), 'hibernated')
    // It rests, and is on its way still.
    const resting = { remaining: 2, moving: 1, movable: 1 }
    expect(await scene.stores.drains.progress(ACME, scene.here.agentId, everything)).to.deep.include(resting)
    expect((await run()).told).to.deep.equal({ draining: 0, left: 0, arrived: 1 })
    expect((await theSession(scene.stores, session.id)).desiredState).to.equal('running')
  })

  it('that is cordoned again goes on; asked for twice it is one, of who asked first', async () => {
    await begin()
    await scene.stores.agents.setCordoned(ofAcme(scene.here.agentId), true)
    await scene.stores.drains.begin(ofAcme(scene.here.agentId), 'user:pia')
    expect(await scene.stores.drains.progress(ACME, scene.here.agentId, everything)).to.deep.include({
      startedBy: 'user:olga',
    })
    expect((await scene.stores.drains.underWay(10)).map(({ agentId }) => agentId)).to.deep.equal([scene.here.agentId])
  })

  it('is not kept waiting by those, begun before it, of agents that have nothing to move', async () => {
    for (const id of ['idle-1', 'idle-2']) {
      await enrolled(scene.stores, { id })
      await scene.stores.drains.begin(ofAcme(id as never), 'user:olga')
    }
    await runningOn(scene.here)
    await begin()
    expect((await scene.stores.drains.underWay(1)).map(({ agentId }) => agentId)).to.deep.equal([scene.here.agentId])
  })

  it('waits like any other for a place where the room is gone when it rests', async () => {
    const session = await runningOn(scene.here)
    await begin()
    await run()
    await scene.stores.agents.setCordoned(ofAcme(scene.there.agentId), true)
    await says(scene.here, await theSession(scene.stores, session.id), 'hibernated')
    expect((await run()).told).to.deep.include({ arrived: 1 })
    const waiting = await theSession(scene.stores, session.id)
    expect(waiting).to.deep.include({ status: 'pending', statusReason: 'agent_cordoned', desiredState: 'running' })
    expect(waiting.refusals.map(({ agentId, detail }) => [agentId, detail]).toSorted()).to.deep.equal([
      ['here', 'takes no new sessions: it is being drained'],
      ['there', 'takes no new sessions: an operator cordoned it'],
    ])
    expect(waiting.statusDeadline).to.be.instanceOf(Date)
  })

  it('writes the intent and the move together, or neither', async () => {
    const session = await runningOn(scene.here)
    const outdated = { ...session, revision: session.revision - 1 }
    const { _tag } = (await scene.stores.drains.leave(right(hibernate(outdated, anIntent())))) as { _tag: string }
    expect(_tag).to.equal('Left')
    expect(await moves()).to.deep.equal([])
    // A move that cannot be written takes its intent with it.
    await scene.stores.ask(`ALTER TABLE session_moves ADD CONSTRAINT never CHECK (generation < 0)`)
    const failed = await scene.stores.drains
      .leave(right(hibernate(session, anIntent())))
      .catch((error: Error) => error.message)
    expect(failed).to.match(/never/)
    expect(await theSession(scene.stores, session.id)).to.deep.equal(session)
  })

  it('of a shared agent shows an org its own sessions, and the installation all', async () => {
    const shared = await anAgent(scene.stores, { id: 'shared', orgId: null })
    await beat(shared)
    await runningOn(shared, { name: 'ours' })
    await runningOn(shared, { name: 'theirs', orgId: GLOBEX })
    const names = async (orgId: typeof ACME | null) =>
      (await scene.stores.drains.progress(orgId, shared.agentId, everything)).page.items.map(
        ({ session }) => session.name,
      )
    expect(await names(ACME)).to.deep.equal(['ours'])
    expect((await names(null)).toSorted()).to.deep.equal(['ours', 'theirs'])
    await scene.stores.drains.begin({ id: shared.agentId, orgId: ACME }, 'user:olga')
    expect(await scene.stores.drains.underWay(10)).to.deep.equal([])
    await scene.stores.drains.begin({ id: shared.agentId, orgId: null }, 'user:olga')
    expect((await run()).told).to.deep.include({ left: 1 }) // globex has no other agent
  })

  it('is told in pages', async () => {
    for (let made = 0; made < 5; made += 1) await runningOn(scene.here)
    const seen: string[] = []
    for (let cursor: string | null = null; ; ) {
      const { page, remaining } = await scene.stores.drains.progress(ACME, scene.here.agentId, { limit: 2, cursor })
      expect(remaining).to.equal(5)
      seen.push(...page.items.map(({ session }) => session.id))
      cursor = page.nextCursor
      if (cursor === null) break
    }
    expect(new Set(seen).size).to.equal(5)
    expect(seen).to.deep.equal(seen.toSorted())
  })
})
