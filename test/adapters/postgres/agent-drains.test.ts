/** The draining of agents on a real database: the duty over the stores, as the server has them. */
import { expect } from 'chai'
import type { AgentId } from '../../../domain/ids.ts'
import { cancel, redrive } from '../../../domain/outbox/intervene.ts'
import { slotFor } from '../../../domain/placement/slot.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import { hibernate, remove, start, stop, update } from '../../../domain/session/decide.ts'
import { arrive } from '../../../domain/session/move.ts'
import { undeliverable } from '../../../domain/session/observe.ts'
import type { Session } from '../../../domain/session/session.ts'
import { drainAgents } from '../../../src/usecases/drain-agents.ts'
import { recordedWake } from '../../support/fake-ports.ts'
import {
  ACME,
  acme,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandIdOf,
  commandsOf,
  commit,
  enrolled,
  GLOBEX,
  heldOn,
  ids,
  ofAcme,
  on,
  openStores,
  PLENTY,
  reported,
  right,
  type Stores,
  theSession,
  timeouts,
} from '../../support/rows.ts'

const everything = { limit: 500, cursor: null }

describe('the draining of an agent', function () {
  this.timeout(120_000)
  let stores: Stores
  let here: Peer
  let there: Peer

  beforeEach(async () => {
    stores = await openStores()
    here = await anAgent(stores, { id: 'here' })
    there = await anAgent(stores, { id: 'there' })
    await beat(here, there)
  })
  afterEach(() => stores.close())

  /** Heard of, so that it counts as online. */
  const beat = (...peers: readonly Peer[]): Promise<unknown> =>
    stores.ask(
      `INSERT INTO agent_liveness (agent_id, last_heartbeat_at) SELECT unnest($1::text[]), now()
       ON CONFLICT (agent_id) DO UPDATE SET last_heartbeat_at = now()`,
      peers.map(({ agentId }) => agentId),
    )
  const says = async (peer: Peer, session: Session, status: 'running' | 'hibernated'): Promise<Session> => {
    await stores.reports.write([aWrite(peer, reported(session, peer, status))])
    return theSession(stores, session.id)
  }
  const runningOn = async (peer: Peer, overrides: Partial<Session> = {}): Promise<Session> =>
    says(peer, await aSessionOn(stores, peer.agentId, { persistentHome: false, ...overrides }), 'running')
  const begin = (agentId: AgentId = here.agentId) => stores.drains.begin(ofAcme(agentId), 'user:olga')
  /** One run of the duty. */
  const run = async () => {
    const { wake, woken } = recordedWake()
    const { drains, agents } = stores
    const duty = drainAgents({ drains, agents, wake, clock: { now: () => new Date() }, ids, timeouts })
    return { told: await duty.run(), woken }
  }
  const moves = () => stores.ask('SELECT session_id, generation FROM session_moves ORDER BY session_id')
  const figures = async (agentId: AgentId = here.agentId) => {
    const { remaining, moving, movable } = await stores.drains.progress(ACME, agentId, everything)
    return [remaining, moving, movable]
  }
  const consistent = async (): Promise<void> => {
    for (const { agentId } of [here, there])
      expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
    const rows = await stores.ask('SELECT session_id FROM outbox GROUP BY session_id, generation HAVING count(*) > 1')
    expect(rows, 'one command a generation').to.deep.equal([])
  }

  it('puts a session to rest, and starts it elsewhere when its agent has said that it rests', async () => {
    const session = await runningOn(here)
    await begin()
    expect((await stores.agents.get(ACME, here.agentId))?.draining).to.equal(true)
    expect(await figures()).to.deep.equal([1, 0, 1])
    expect(await run()).to.deep.equal({ told: { draining: 1, left: 1, arrived: 0 }, woken: [here.agentId] })
    const leaving = await theSession(stores, session.id)
    expect(leaving).to.deep.include({ status: 'hibernating', statusReason: 'draining', agentId: here.agentId })
    expect(await figures()).to.deep.equal([1, 1, 0])
    // Until that is said, nothing is started anywhere.
    expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })

    await says(here, leaving, 'hibernated')
    // Nothing of it runs here, but it does not run elsewhere yet.
    expect(await figures()).to.deep.equal([1, 1, 0])
    expect(await run()).to.deep.equal({ told: { draining: 1, left: 0, arrived: 1 }, woken: [there.agentId] })
    const arrived = await theSession(stores, session.id)
    expect(arrived).to.deep.include({ status: 'scheduling', desiredState: 'running', agentId: there.agentId })
    expect((await commandsOf(stores, session.id)).map(({ type, agent_id }) => [type, agent_id])).to.deep.equal([
      ['start_session', 'here'],
      ['hibernate_session', 'here'],
      ['wake_session', 'there'],
    ])
    expect(await moves()).to.deep.equal([])
    await consistent()
  })

  it('leaves alone what has its home there, was made for it, or fits nowhere else, and says so', async () => {
    const home = await runningOn(here, { persistentHome: true })
    const asked = await runningOn(here, {
      placement: { platforms: ['process'], platform: null, region: null, agentId: here.agentId },
    })
    const large = await runningOn(here, {
      placement: { platforms: ['process'], platform: null, region: 'moon', agentId: null },
    })
    await begin()
    expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })
    for (const { id } of [home, asked, large]) expect((await theSession(stores, id)).status).to.equal('running')
    expect(await figures()).to.deep.equal([3, 0, 1])
  })

  it('moves no more than there is room for elsewhere', async () => {
    const narrow = await anAgent(stores, { id: 'narrow', capacity: { ...PLENTY, maxSessions: 2 } })
    await beat(narrow)
    await stores.agents.setCordoned(ofAcme(there.agentId), true)
    for (let made = 0; made < 5; made += 1) await runningOn(here)
    await begin()
    expect((await run()).told).to.deep.include({ left: 2 })
    expect(await figures()).to.deep.equal([5, 2, 3])
  })

  it('moves a few at a time, past those that cannot leave', async () => {
    for (let made = 0; made < 30; made += 1)
      await runningOn(here, { placement: { platforms: ['docker'], platform: null, region: null, agentId: null } })
    for (let made = 0; made < 25; made += 1) await runningOn(here)
    await begin()
    expect((await run()).told).to.deep.include({ left: 20 })
    expect((await run()).told).to.deep.include({ left: 0 })
    const [first] = await moves()
    await says(here, await theSession(stores, first.session_id), 'hibernated')
    expect((await run()).told).to.deep.include({ left: 1, arrived: 1 })
    await consistent()
  })

  it('does nothing to what an agent that is away has: it could not be told', async () => {
    const session = await runningOn(here)
    await begin()
    await stores.ask(`UPDATE agent_liveness SET last_heartbeat_at = now() - interval '1 hour' WHERE agent_id = 'here'`)
    expect((await run()).told).to.deep.include({ left: 0 })
    expect((await theSession(stores, session.id)).generation).to.equal(1)
  })

  it('is over for a session of which something else is asked meanwhile', async () => {
    const session = await runningOn(here)
    await begin()
    await run()
    const leaving = await says(here, await theSession(stores, session.id), 'hibernated')
    await commit(stores, right(start(leaving, 'wake', on(there.agentId), anIntent())))
    const generation = (await theSession(stores, session.id)).generation
    await run()
    expect(await moves()).to.deep.equal([])
    expect((await theSession(stores, session.id)).generation).to.equal(generation)
  })

  /** Put to rest by the drain, which has not gone on yet. */
  const restingHere = async (): Promise<Session> => {
    const session = await runningOn(here)
    await begin()
    await run()
    return says(here, await theSession(stores, session.id), 'hibernated')
  }

  const wishes = [
    { wish: 'hibernated', status: 'hibernating', act: hibernate },
    { wish: 'stopped', status: 'stopping', act: stop },
    { wish: 'deleted', status: 'deleting', act: remove },
  ] as const
  for (const { wish, status, act } of wishes)
    it(`wakes nothing that its user has ${wish} while it rested: that wish is the later one, and the drain is done`, async () => {
      const resting = await restingHere()
      expect(resting).to.include({ status: 'hibernated', statusReason: 'draining' })
      await commit(stores, right(act(resting, anIntent())))
      // Also before the duty has looked: who waits for the drain waits for what moves, and it does not.
      expect(await figures()).to.deep.equal([0, 0, 0])
      expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })
      const asked = await theSession(stores, resting.id)
      expect(asked).to.include({ status, statusReason: 'by_request', desiredState: wish })
      expect(asked.generation).to.equal(resting.generation + 1)
      expect(await moves()).to.deep.equal([])
      expect(await stores.drains.underWay(10)).to.deep.equal([{ agentId: here.agentId, moving: 0 }])
      await consistent()
    })

  it('leaves what its user has put to rest at rest; woken later, it starts where there is room', async () => {
    const resting = await restingHere()
    await commit(stores, right(hibernate(resting, anIntent())))
    const his = await says(here, await theSession(stores, resting.id), 'hibernated')
    expect(his).to.include({ status: 'hibernated', statusReason: 'by_request', agentId: here.agentId })
    expect((await run()).told).to.deep.include({ left: 0, arrived: 0 })
    expect(await theSession(stores, resting.id)).to.deep.equal(his)
    const slot = slotFor(his, await stores.agents.candidates(his.orgId))
    await commit(stores, right(start(his, 'wake', slot, anIntent())))
    expect(await theSession(stores, resting.id)).to.include({ status: 'scheduling', agentId: there.agentId })
    await consistent()
  })

  it('does not start what its user has put to rest between its look and its write', async () => {
    const resting = await restingHere()
    const [move] = await stores.drains.moves(10)
    await commit(stores, right(hibernate(resting, anIntent())))
    const late = right(arrive(move?.session ?? resting, on(there.agentId), anIntent({ actor: 'drain' })))
    expect((await stores.drains.arrive(late))._tag).to.equal('Left')
    expect(await theSession(stores, resting.id)).to.include({ desiredState: 'hibernated', agentId: here.agentId })
  })

  /** Put to rest by the drain, and its agent has not answered. */
  const leavingHere = async (): Promise<Session> => {
    const session = await runningOn(here)
    await begin()
    await run()
    return theSession(stores, session.id)
  }
  /** An operator's word on the command that puts it to rest. */
  const intervene = async (act: typeof redrive | typeof cancel, { id }: Session): Promise<Session> => {
    const command = await stores.commands.get(acme, await commandIdOf(stores, id))
    if (command === null) return expect.fail('no command')
    const operation = { actor: 'user:olga', at: new Date(), timeouts }
    right(await stores.commands.change(right(act(await theSession(stores, id), command, operation))))
    return theSession(stores, id)
  }
  const dead = ({ id }: Session) =>
    stores.ask(
      `UPDATE outbox SET status = 'dead', finished_at = now() WHERE session_id = $1 AND type = 'hibernate_session'`,
      id,
    )
  const givenUp = async (session: Session): Promise<void> => {
    await dead(session)
    const context = { agentId: here.agentId, at: new Date(), timeouts }
    await commit(stores, undeliverable(session, session.generation, 'delivery_failed', 'no ack', context))
  }
  const staysHere = async ({ id }: Session): Promise<void> => {
    expect(await figures()).to.deep.equal([0, 0, 0])
    const before = await theSession(stores, id)
    expect(before).to.deep.include({ status: 'hibernated', statusReason: 'by_request', statusMessage: null })
    expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })
    expect(await theSession(stores, id)).to.deep.equal(before)
    expect(await moves()).to.deep.equal([])
    await consistent()
  }

  it('starts nothing elsewhere whose rest an operator has sent again, also where the agent answers before it looks', async () => {
    const session = await leavingHere()
    await givenUp(session)
    const asked = await intervene(redrive, session)
    expect(asked).to.include({
      status: 'hibernating',
      statusReason: 'queued_for_agent',
      generation: session.generation,
    })
    expect(await moves()).to.deep.equal([])
    await says(here, asked, 'hibernated')
    await staysHere(session)
  })

  it('starts nothing elsewhere whose rest an operator has sent again though it rested already: it rests by request then', async () => {
    const session = await leavingHere()
    await dead(session)
    expect(await says(here, session, 'hibernated')).to.include({ statusReason: 'draining' })
    await intervene(redrive, session)
    await staysHere(session)
  })

  it('does not start what an operator has sent again between its look and its write', async () => {
    const session = await leavingHere()
    await dead(session)
    await says(here, session, 'hibernated')
    const [move] = await stores.drains.moves(10)
    await intervene(redrive, session)
    const late = right(arrive(move?.session ?? session, on(there.agentId), anIntent({ actor: 'drain' })))
    expect((await stores.drains.arrive(late))._tag).to.equal('Left')
    await staysHere(session)
  })

  it('starts nothing elsewhere whose rest an operator has cancelled, and which its agent had put to rest all the same', async () => {
    const session = await leavingHere()
    expect(await intervene(cancel, session)).to.include({ status: 'failed', statusReason: 'delivery_failed' })
    expect(await moves()).to.deep.equal([])
    await says(here, await theSession(stores, session.id), 'hibernated')
    await staysHere(session)
  })

  it('starts elsewhere what rests already, when all that an operator has cancelled is to tell its agent once more', async () => {
    const session = await leavingHere()
    await says(here, session, 'hibernated')
    expect(await intervene(cancel, session)).to.include({ status: 'hibernated', statusReason: 'draining' })
    expect((await run()).told).to.deep.include({ arrived: 1 })
    expect(await theSession(stores, session.id)).to.include({ desiredState: 'running', agentId: there.agentId })
  })

  it('forgets what an operator has sent again through a server of the release before, which leaves the move', async () => {
    const session = await leavingHere()
    await givenUp(session)
    const [move] = await stores.ask('SELECT * FROM session_moves')
    await intervene(redrive, session)
    await stores.ask('INSERT INTO session_moves SELECT * FROM jsonb_populate_record(NULL::session_moves, $1)', move)
    expect(await moves()).to.have.length(1)
    await run()
    expect(await moves()).to.deep.equal([])
    expect(await theSession(stores, session.id)).to.include({ status: 'hibernating', generation: session.generation })
  })

  it('goes on with a session that is given another name while it rests', async () => {
    const resting = await restingHere()
    await commit(stores, update(resting, { name: 'Another name' }, anIntent()))
    expect((await run()).told).to.deep.include({ arrived: 1 })
    expect(await theSession(stores, resting.id)).to.include({ name: 'Another name', agentId: there.agentId })
  })

  it('ends with the uncordoning: what is on its way is started all the same, and nothing more leaves', async () => {
    const session = await runningOn(here)
    await begin()
    await run()
    await stores.agents.setCordoned(ofAcme(here.agentId), false)
    expect((await stores.agents.get(ACME, here.agentId))?.draining).to.equal(false)
    await runningOn(here)
    await says(here, await theSession(stores, session.id), 'hibernated')
    // It rests, and is on its way still.
    const resting = { remaining: 2, moving: 1, movable: 1 }
    expect(await stores.drains.progress(ACME, here.agentId, everything)).to.deep.include(resting)
    expect((await run()).told).to.deep.equal({ draining: 0, left: 0, arrived: 1 })
    expect((await theSession(stores, session.id)).desiredState).to.equal('running')
  })

  it('that is cordoned again goes on; asked for twice it is one, of who asked first', async () => {
    await begin()
    await stores.agents.setCordoned(ofAcme(here.agentId), true)
    await stores.drains.begin(ofAcme(here.agentId), 'user:pia')
    expect(await stores.drains.progress(ACME, here.agentId, everything)).to.deep.include({ startedBy: 'user:olga' })
    expect((await stores.drains.underWay(10)).map(({ agentId }) => agentId)).to.deep.equal([here.agentId])
  })

  it('is not kept waiting by those, begun before it, of agents that have nothing to move', async () => {
    for (const id of ['idle-1', 'idle-2']) {
      await enrolled(stores, { id })
      await stores.drains.begin(ofAcme(id as never), 'user:olga')
    }
    await runningOn(here)
    await begin()
    expect((await stores.drains.underWay(1)).map(({ agentId }) => agentId)).to.deep.equal([here.agentId])
  })

  it('waits like any other for a place where the room is gone when it rests', async () => {
    const session = await runningOn(here)
    await begin()
    await run()
    await stores.agents.setCordoned(ofAcme(there.agentId), true)
    await says(here, await theSession(stores, session.id), 'hibernated')
    expect((await run()).told).to.deep.include({ arrived: 1 })
    const waiting = await theSession(stores, session.id)
    expect(waiting).to.deep.include({ status: 'pending', statusReason: 'agent_cordoned', desiredState: 'running' })
    expect(waiting.refusals.map(({ agentId, detail }) => [agentId, detail]).toSorted()).to.deep.equal([
      ['here', 'takes no new sessions: it is being drained'],
      ['there', 'takes no new sessions: an operator cordoned it'],
    ])
    expect(waiting.statusDeadline).to.be.instanceOf(Date)
  })

  it('writes the intent and the move together, or neither', async () => {
    const session = await runningOn(here)
    const outdated = { ...session, revision: session.revision - 1 }
    const { _tag } = (await stores.drains.leave(right(hibernate(outdated, anIntent())))) as { _tag: string }
    expect(_tag).to.equal('Left')
    expect(await moves()).to.deep.equal([])
    // A move that cannot be written takes its intent with it.
    await stores.ask(`ALTER TABLE session_moves ADD CONSTRAINT never CHECK (generation < 0)`)
    const failed = await stores.drains
      .leave(right(hibernate(session, anIntent())))
      .catch((error: Error) => error.message)
    expect(failed).to.match(/never/)
    expect(await theSession(stores, session.id)).to.deep.equal(session)
  })

  it('of a shared agent shows an org its own sessions, and the installation all', async () => {
    const shared = await anAgent(stores, { id: 'shared', orgId: null })
    await beat(shared)
    await runningOn(shared, { name: 'ours' })
    await runningOn(shared, { name: 'theirs', orgId: GLOBEX })
    const names = async (orgId: typeof ACME | null) =>
      (await stores.drains.progress(orgId, shared.agentId, everything)).page.items.map(({ session }) => session.name)
    expect(await names(ACME)).to.deep.equal(['ours'])
    expect((await names(null)).toSorted()).to.deep.equal(['ours', 'theirs'])
    await stores.drains.begin({ id: shared.agentId, orgId: ACME }, 'user:olga')
    expect(await stores.drains.underWay(10)).to.deep.equal([])
    await stores.drains.begin({ id: shared.agentId, orgId: null }, 'user:olga')
    expect((await run()).told).to.deep.include({ left: 1 }) // globex has no other agent
  })

  it('is told in pages', async () => {
    for (let made = 0; made < 5; made += 1) await runningOn(here)
    const seen: string[] = []
    for (let cursor: string | null = null; ; ) {
      const { page, remaining } = await stores.drains.progress(ACME, here.agentId, { limit: 2, cursor })
      expect(remaining).to.equal(5)
      seen.push(...page.items.map(({ session }) => session.id))
      cursor = page.nextCursor
      if (cursor === null) break
    }
    expect(new Set(seen).size).to.equal(5)
    expect(seen).to.deep.equal(seen.toSorted())
  })
})
