import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { placePending } from '../../../domain/session/decide.ts'
import {
  aCreation,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commit,
  heldOn,
  nowhere,
  on,
  openStores,
  PLENTY,
  reported,
  type Stores,
} from '../../support/rows.ts'

describe('capacity under concurrency', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores({ maxConnections: 32 })
  })
  after(() => stores.close())

  const bounds = {
    sessions: { ...PLENTY, maxSessions: 10 },
    processor: { ...PLENTY, cpuMillis: 10 * 500 + 499 },
    memory: { ...PLENTY, memoryMib: 10 * 512 + 511 },
  }
  for (const [bound, capacity] of Object.entries(bounds))
    it(`places exactly 10 of 200 sessions at once where there is room for 10 by ${bound}`, async () => {
      const { agentId } = await anAgent(stores, { id: `race-${bound}`, capacity })
      const decisions = Array.from({ length: 200 }, () => aCreation(on(agentId)))
      const answers = await Promise.all(decisions.map((decision) => stores.unitOfWork.commit(decision)))
      expect(answers.filter(E.isRight)).to.have.length(10)
      for (const answer of answers.filter(E.isLeft)) expect(answer.left).to.deep.equal({ _tag: 'NotReserved', agentId })
      expect(await allocatedOn(stores, agentId)).to.deep.equal([10, 5_000, 5_120])
      expect(await heldOn(stores, agentId)).to.deep.equal([10, 5_000, 5_120])
      const [rows] = await stores.ask(
        `SELECT (SELECT count(*) FROM outbox WHERE agent_id = $1) AS commands,
                (SELECT count(*) FROM session_events JOIN sessions s ON s.id = session_id WHERE s.agent_id = $1) AS events`,
        agentId,
      )
      expect(rows).to.deep.equal({ commands: 10, events: 10 })
    })

  it('stays the sum over the sessions while they come, go, and are placed from the queue', async () => {
    const peer = await anAgent(stores, { id: 'come-and-go', capacity: { ...PLENTY, maxSessions: 10 } })
    const { agentId } = peer
    const sessions = await Promise.all(Array.from({ length: 10 }, () => aSessionOn(stores, agentId)))
    const waiting = await Promise.all(Array.from({ length: 20 }, () => commit(stores, aCreation(nowhere))))
    await Promise.all([
      ...sessions.map((session) =>
        // Twice the same: an agent may tell what it has told, on two replicas at once.
        Promise.all([
          stores.reports.write([aWrite(peer, reported(session, peer, 'failed'))]),
          stores.reports.write([aWrite(peer, reported(session, peer, 'failed'))]),
        ]),
      ),
      ...waiting.map((session) => stores.unitOfWork.commit(placePending(session, on(agentId), anIntent()))),
      ...Array.from({ length: 20 }, () => stores.unitOfWork.commit(aCreation(on(agentId)))),
    ])
    const allocated = await allocatedOn(stores, agentId)
    expect(allocated).to.deep.equal(await heldOn(stores, agentId))
    expect(allocated[0]).to.be.at.most(10)
  })
})
