import { expect } from 'chai'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { InventoryEntry } from '../../../domain/ports/delivery.ts'
import { stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import {
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commit,
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
    (await stores.reports.asTold(agentId, [entry])).has(running.id)

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

  it('are left out of what the agent’s rows are compared as', async () => {
    const another = await aRunning()
    const asTold = await stores.reports.asTold(peer.agentId, [said()])
    const compared = await stores.sessions.ofAgent(peer.agentId, [running.id], asTold)
    expect(compared.map(({ id }) => id)).to.deep.equal([another.id])
  })
})
