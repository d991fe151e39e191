import { expect } from 'chai'
import { forceRemove, remove, stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import {
  ACME,
  ANNA,
  aCreation,
  acme,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  BEN,
  commit,
  GLOBEX,
  globex,
  ids,
  nowhere,
  openStores,
  reported,
  right,
  type Stores,
} from '../../support/rows.ts'

describe('loading sessions', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const idsOf = (sessions: readonly Session[]) => sessions.map(({ id }) => id)

  it('for a caller stays within what the caller sees', async () => {
    const { agentId } = await anAgent(stores, { id: 'agent' })
    const session = await aSessionOn(stores, agentId)
    expect(await stores.sessions.load(acme, session.id)).to.deep.equal({ session, agentReachable: true })
    expect(await stores.sessions.load({ orgId: ACME, ownerId: ANNA }, session.id)).not.to.equal(null)
    expect(await stores.sessions.load({ orgId: ACME, ownerId: BEN }, session.id)).to.equal(null)
    expect(await stores.sessions.load(globex, session.id)).to.equal(null)
  })

  it('for an agent’s reports leaves out what nobody knows', async () => {
    const session = await commit(stores, aCreation(nowhere))
    expect(await stores.sessions.loadMany([session.id, ids.session()])).to.deep.equal([session])
    expect(await stores.sessions.loadMany([])).to.deep.equal([])
  })

  it('that wait for a place takes turns between orgs, the oldest first', async () => {
    const at = (second: number) => ({ createdAt: new Date(Date.UTC(2026, 0, 1, 0, 0, second)) })
    const waiting = async (orgId: typeof ACME, second: number) =>
      commit(stores, aCreation(nowhere, { orgId, ...at(second) }, { at: at(second).createdAt }))
    const [a1, a2, a3] = [await waiting(ACME, 1), await waiting(ACME, 2), await waiting(ACME, 3)]
    const [g4, g5] = [await waiting(GLOBEX, 4), await waiting(GLOBEX, 5)]
    const { agentId } = await anAgent(stores, { id: 'placed' })
    await aSessionOn(stores, agentId)
    await commit(stores, right(remove(await waiting(GLOBEX, 0), anIntent())))
    expect(idsOf(await stores.sessions.pending(10))).to.deep.equal([a1.id, g4.id, a2.id, g5.id, a3.id])
    expect(idsOf(await stores.sessions.pending(2))).to.deep.equal([a1.id, g4.id])
  })

  it('that are overdue has the longest overdue first, and no tombstones', async () => {
    const peer = await anAgent(stores, { id: 'overdue' })
    const start = new Date(Date.UTC(2026, 0, 1))
    const after = (ms: number) => new Date(start.getTime() + ms)
    const scheduled = await commit(
      stores,
      aCreation({ kind: 'placed', agentId: peer.agentId, platform: 'process', region: null }, {}, { at: start }),
    )
    const running = await aSessionOn(stores, peer.agentId)
    await stores.reports.write([aWrite(peer, reported(running, peer, 'running'))])
    const stopping = await commit(stores, right(stop(await aSessionOn(stores, peer.agentId), anIntent({ at: start }))))
    await commit(stores, forceRemove(await aSessionOn(stores, peer.agentId), anIntent({ at: start })))
    const overdue = async (ms: number, limit = 10) =>
      (await stores.sessions.overdue(after(ms), limit)).map(({ session, agentReachable }) => [
        session.id,
        agentReachable,
      ])
    expect(await overdue(59_999)).to.deep.equal([])
    expect(await overdue(60_000)).to.deep.equal([[stopping.id, true]])
    expect(await overdue(300_000)).to.deep.equal([
      [stopping.id, true],
      [scheduled.id, true],
    ])
    expect(await overdue(300_000, 1)).to.have.length(1)
  })
})
