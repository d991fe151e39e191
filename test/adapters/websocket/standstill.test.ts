/** A replica that stood still, or that the others have taken for dead: it does not speak for agents it has lost. */
import { expect } from 'chai'
import type { AgentId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { type AHub, startHub } from './support/a-hub.ts'
import { AGENT, aLane } from './support/a-lane.ts'

describe('a lane whose process stood still while it read', () => {
  it('sends nothing of what it has read before, and reads again', async () => {
    const { outbox, time, reconnect } = aLane()
    const before = outbox.commit(AGENT)
    let stood = false
    outbox.whileReading = () => {
      if (stood) return
      stood = true
      time.standStill(60_000)
      // Meanwhile the agent was elsewhere, and there it was done.
      outbox.finish(before.commandId)
    }
    const { wire } = reconnect()
    await time.settle()
    expect(stood).to.equal(true)
    expect(wire.frames).to.deep.equal([])
    expect(outbox.reads).to.have.lengthOf(2)
  })

  it('acts on an answer that only was slow', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    let slow = true
    outbox.whileReading = () => {
      if (slow) time.standStill(5_000)
      slow = false
    }
    const { wire } = reconnect()
    await time.settle()
    expect(wire.frames.map(({ commandId }) => commandId)).to.deep.equal([row.commandId])
  })
})

describe('a hub that stands down', () => {
  let a: AHub
  afterEach(() => a.stop())

  it('tells every agent to come back, sends no command any more, and goes on with those that do', async () => {
    a = await startHub()
    const clients = [await a.connect('edge-1'), await a.connect('edge-2')]
    a.hub.standDown('this replica was taken for dead')
    a.outbox.commit('edge-1' as AgentId)
    a.hub.drain('edge-1' as AgentId)
    for (const client of clients) {
      const bye = await client.next('bye')
      expect(bye.reason).to.equal('this replica was taken for dead')
      expect(bye.reconnectAfterMs).to.be.within(500, 1_500)
      expect((await client.closed()).code).to.equal(1001)
      expect(client.of('command')).to.deep.equal([])
    }
    await eventually(() => expect(a.hub.stats()).to.include({ connections: 0 }))
    const again = await a.connect('edge-1')
    await again.count('command', 1)
  })
})
