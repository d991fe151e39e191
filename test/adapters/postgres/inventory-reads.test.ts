import { expect } from 'chai'
import type { SessionId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { InventoryEntry } from '../../../domain/ports/delivery.ts'
import { forceRemove, stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import {
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commit,
  ids,
  openStores,
  reported,
  right,
  theSession,
} from '../../support/rows.ts'

const ENDPOINT = { url: 'http://127.0.0.1:1/', host: '127.0.0.1', port: 1, protocol: 'http' } as const

describe('entries of an inventory that tell nothing new', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  let peer: Peer
  let running: Session
  let count = 0
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())
  beforeEach(async () => {
    count += 1
    peer = await anAgent(stores, { id: `as-told-${count}` })
    running = await aRunning()
  })

  const aRunning = async (): Promise<Session> => {
    const session = await aSessionOn(stores, peer.agentId)
    await stores.reports.write([aWrite(peer, reported(session, peer, 'running'), { doneUpTo: 1 })])
    await stores.ask('UPDATE sessions SET endpoint = $2 WHERE id = $1', session.id, {
      ...ENDPOINT,
      ports: [],
    })
    return theSession(stores, session.id)
  }
  const said = (changes: Partial<InventoryEntry> = {}): InventoryEntry => ({
    sessionId: running.id,
    generation: 1,
    status: 'running',
    ...changes,
  })
  const isAsTold = async (entry: InventoryEntry, agentId = peer.agentId): Promise<boolean> =>
    (await stores.inventories.asTold({ agentId, inventory: [entry] })).has(running.id)

  it('are those of settled sessions, whichever of their facts they mention', async () => {
    for (const entry of [said(), said({ endpoint: ENDPOINT }), said({ restarts: 0 }), said({ message: null })])
      expect(await isAsTold(entry), JSON.stringify(entry)).to.equal(true)
  })

  it('are none that say something else, or how it came to be so', async () => {
    for (const changes of [
      { generation: 2 },
      { generation: 0 },
      { status: 'stopped' },
      { status: 'failed' },
      { status: 'starting' },
      { endpoint: { ...ENDPOINT, port: 2 } },
      { endpoint: null },
      { restarts: 1 },
      { reason: 'restarting' },
      { message: 'here again' },
      { exitCode: null },
      { lastOutput: 'x' },
    ] as const)
      expect(await isAsTold(said(changes)), JSON.stringify(changes)).to.equal(false)
  })

  it('are none of another agent’s, of what is asked to be otherwise, or of what has a command on its way', async () => {
    const other = await anAgent(stores, { id: 'as-told-other' })
    expect(await isAsTold(said(), other.agentId)).to.equal(false)
    await stores.ask(`UPDATE outbox SET status = 'pending' WHERE session_id = $1`, running.id)
    expect(await isAsTold(said())).to.equal(false)
    await stores.ask(`UPDATE outbox SET status = 'done' WHERE session_id = $1`, running.id)
    expect(await isAsTold(said())).to.equal(true)
    await commit(stores, right(stop(running, anIntent())))
    expect(await isAsTold(said())).to.equal(false)
  })
})

describe('what an inventory is compared with', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const compared = async ({ agentId }: Peer, mentioned: readonly SessionId[] = [], asTold: readonly SessionId[] = []) =>
    (await stores.inventories.sessions({ agentId, mentioned, asTold: new Set(asTold) })).map(({ id }) => id)
  /** One whose command is due no more, so that it is compared though nobody mentions it. */
  const sent = async ({ agentId }: Peer): Promise<Session> => {
    const session = await aSessionOn(stores, agentId)
    await stores.ask('UPDATE outbox SET acked_epoch = 1 WHERE session_id = $1', session.id)
    return session
  }

  it('leave out what the agent has not seen while its command is due, unless it is mentioned', async () => {
    const peer = await anAgent(stores, { id: 'behind' })
    const session = await aSessionOn(stores, peer.agentId)
    const ofAgent = (...mentioned: SessionId[]) => compared(peer, mentioned)
    expect(await ofAgent()).to.deep.equal([])
    expect(await ofAgent(session.id)).to.deep.equal([session.id])
    for (const [held, value] of [
      ['next_attempt_at', 'now()'],
      ['acked_epoch', '1'],
      ['status', `'dead'`],
    ]) {
      await stores.ask(`UPDATE outbox SET ${held} = ${value} WHERE session_id = $1`, session.id)
      expect(await ofAgent(), held).to.deep.equal([session.id])
      await stores.ask(
        `UPDATE outbox SET next_attempt_at = NULL, acked_epoch = NULL, status = 'pending' WHERE session_id = $1`,
        session.id,
      )
    }
    await stores.ask(`UPDATE sessions SET status = 'failed' WHERE id = $1`, session.id)
    expect(await ofAgent()).to.deep.equal([session.id])
  })

  it('are the agent’s own, its unconfirmed tombstones, and what it mentions, once each', async () => {
    const [peer, other] = [await anAgent(stores, { id: 'mine' }), await anAgent(stores, { id: 'other' })]
    const own = await aSessionOn(stores, peer.agentId)
    const forced = await commit(stores, forceRemove(await aSessionOn(stores, peer.agentId), anIntent()))
    const confirmed = await commit(stores, forceRemove(await aSessionOn(stores, peer.agentId), anIntent()))
    await stores.ask('UPDATE sessions SET reserved_on = NULL WHERE id = $1', confirmed.id)
    const theirs = await aSessionOn(stores, other.agentId)
    await stores.ask('UPDATE outbox SET acked_epoch = 1 WHERE session_id = $1', own.id)
    expect(await compared(peer)).to.have.members([own.id, forced.id])
    const mentioned = [own.id, confirmed.id, theirs.id, ids.session()]
    const all = await compared(peer, mentioned)
    expect(all).to.have.length(4)
    expect(all).to.have.members([own.id, forced.id, confirmed.id, theirs.id])
  })

  it('has nothing of what was as told', async () => {
    const peer = await anAgent(stores, { id: 'as-told' })
    const [told, another] = [await sent(peer), await sent(peer)]
    expect(await compared(peer, [told.id], [told.id])).to.deep.equal([another.id])
  })

  it('is each agent’s own when several are asked for in one statement', async () => {
    const [one, two] = [await anAgent(stores, { id: 'one' }), await anAgent(stores, { id: 'two' })]
    const [ofOne, ofTwo] = [await sent(one), await sent(two)]
    const onItsWay = await aSessionOn(stores, one.agentId)
    // That another agent mentions it does not make it one that its own has seen.
    const answers = await Promise.all([
      compared(one),
      compared(two, [onItsWay.id, ofTwo.id]),
      compared(two, [], [ofOne.id]),
    ])
    expect(answers[0]).to.deep.equal([ofOne.id])
    expect(answers[1]).to.have.members([onItsWay.id, ofTwo.id])
    expect(answers[2]).to.include(ofTwo.id)
  })
})

describe('an inventory without orphans', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())

  const none = { found: [], spokenSince: new Set<SessionId>(), graceMs: 0 }
  const isRecorded = ({ agentId }: Peer, sessions: number) => stores.inventories.isRecorded({ agentId, sessions })

  it('is recorded once it was, as long as nothing is to be said of orphans', async () => {
    const [peer, other] = [await anAgent(stores, { id: 'quiet' }), await anAgent(stores, { id: 'other' })]
    expect(await isRecorded(peer, 2)).to.equal(false)
    await stores.orphans.record(peer, { ...none, sessions: 2 })
    expect(await Promise.all([isRecorded(peer, 2), isRecorded(other, 2), isRecorded(peer, 3)])).to.deep.equal([
      true,
      false,
      false,
    ])
  })

  it('is not recorded while an orphan is there, or the brake is held', async () => {
    const peer = await anAgent(stores, { id: 'orphans' })
    const entry: InventoryEntry = { sessionId: ids.session(), generation: 1, status: 'running' }
    await stores.orphans.record(peer, { ...none, sessions: 2, found: [{ entry, reason: 'unknown' }] })
    expect(await isRecorded(peer, 2)).to.equal(false)
    await stores.orphans.record(peer, { ...none, sessions: 2 })
    expect(await isRecorded(peer, 2)).to.equal(true)
    await stores.ask(`UPDATE orphan_brakes SET held_at = now(), held_reason = 'x' WHERE agent_id = $1`, peer.agentId)
    expect(await isRecorded(peer, 2)).to.equal(false)
  })
})
