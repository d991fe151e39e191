import { expect } from 'chai'
import type { AgentId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import { type AHub, startHub } from './support/a-hub.ts'
import { aSessionId } from './support/fake-outbox.ts'

const EDGE = 'edge-1' as AgentId
const NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

describe('the life of a connection', () => {
  let a: AHub
  afterEach(() => a.stop())

  it('has pings, and ends with 4008 after six without a heartbeat', async () => {
    a = await startHub({ heartbeatIntervalMs: 50 })
    const client = await a.connect()
    const connectedAt = performance.now()
    expect((await client.closed()).code).to.equal(4008)
    expect(performance.now() - connectedAt).to.be.at.least(290)
    expect(client.pings).to.be.at.least(1)
  })

  it('goes on for as long as there are heartbeats', async () => {
    a = await startHub({ heartbeatIntervalMs: 50 })
    const client = await a.connect()
    const beating = setInterval(
      () => client.raw({ type: 'heartbeat', at: new Date(0).toISOString(), activeSessions: 0, inventoryHash: NOTHING }),
      25,
    )
    try {
      await eventually(() => expect(client.pings).to.be.at.least(14))
    } finally {
      clearInterval(beating)
    }
    expect(client.closing).to.equal(null)
  })

  it('is not ended for silence while it is the server that does not read', async () => {
    a = await startHub({ heartbeatIntervalMs: 20 })
    const answers: (() => void)[] = []
    a.inbox.answer = () => new Promise((resolve) => answers.push(() => resolve('accepted')))
    const client = await a.connect()
    const sessionId = aSessionId()
    for (let count = 0; count < 2_000; count++)
      client.send({ type: 'status', sessionId, generation: count, status: 'running', message: 'x'.repeat(1_000) })
    await eventually(() => expect(a.hub.stats()).to.include({ pausedSockets: 1 }))
    await eventually(() => expect(client.pings).to.be.at.least(15))
    expect(client.closing).to.equal(null)
    expect(a.hub.stats()).to.include({ pausedSockets: 1 })
  })

  it('ends when the agent takes nothing off a full socket for six intervals', async () => {
    a = await startHub({ heartbeatIntervalMs: 50, windowBytes: 64 * 1024 * 1024 })
    const client = await a.connect()
    client.socket.pause()
    const beating = setInterval(
      () => client.raw({ type: 'heartbeat', at: new Date(0).toISOString(), activeSessions: 0, inventoryHash: NOTHING }),
      25,
    )
    try {
      for (let count = 0; count < 100; count++) a.outbox.commit(EDGE, { name: 'x'.repeat(300_000) })
      a.hub.drain(EDGE)
      await eventually(() => expect(a.hub.stats()).to.include({ stalledSockets: 1 }))
      await eventually(() => expect(a.hub.holds(EDGE)).to.equal(false))
    } finally {
      clearInterval(beating)
    }
  })

  describe('and the end of the hub', () => {
    it('says bye with a time to come back, closes with 1001, writes notes and gives leases up', async () => {
      a = await startHub()
      const rows = [a.outbox.commit(EDGE), a.outbox.commit('edge-2' as AgentId)]
      const clients = [await a.connect('edge-1'), await a.connect('edge-2')]
      for (const client of clients) {
        await client.count('command', 1)
        client.send({ type: 'ack', commandIds: client.of('command').map((frame) => frame.commandId) })
      }
      await eventually(() => expect(a.hub.stats()).to.include({ inFlight: 0 }))
      await a.hub.close({ reason: 'a new version' })
      for (const client of clients) {
        const bye = await client.next('bye')
        expect(bye.reason).to.equal('a new version')
        expect(bye.reconnectAfterMs).to.be.within(500, 1_500)
        expect((await client.closed()).code).to.equal(1001)
      }
      expect(rows.map((row) => row.ackedEpoch)).to.deep.equal([1, 1])
      expect(a.leases.released.map((peer) => peer.agentId)).to.have.members(['edge-1', 'edge-2'])
      expect(a.hub.stats()).to.include({ connections: 0, connecting: 0 })
    })

    it('waits for what is being written before it gives the lease up', async () => {
      // Longer than this test: it must not give up waiting before the answer is given.
      a = await startHub({ closeTimeoutMs: 60_000 })
      const client = await a.connect()
      let commit = (): void => {}
      a.inbox.answer = () =>
        new Promise((resolve) => {
          commit = () => resolve('accepted')
        })
      client.send({ type: 'status', sessionId: aSessionId(), generation: 1, status: 'running' })
      await eventually(() => expect(a.inbox.calls).to.have.lengthOf(1))
      const closed = a.hub.close({ reason: 'stopping' })
      await client.closed()
      expect(a.leases.released).to.deep.equal([])
      commit()
      await closed
      expect(a.leases.released).to.have.lengthOf(1)
    })

    it('takes a bounded time when nothing answers any more', async () => {
      await quickestOf(3, 1_000, async () => {
        a = await startHub({ closeTimeoutMs: 300 })
        const client = await a.connect()
        const waiting = await a.dial('edge-2')
        client.socket.pause()
        waiting.socket.pause()
        a.inbox.answer = () => new Promise(() => {})
        client.send({ type: 'status', sessionId: aSessionId(), generation: 1, status: 'running' })
        await eventually(() => expect(a.inbox.calls).to.have.lengthOf(1))
        a.leases.isDown = true
        a.outbox.isDown = true
        const took = await timed(() => a.hub.close({ reason: 'stopping' }))
        expect(a.hub.stats()).to.include({ connections: 0 })
        return took
      })
    })

    it('is the same when it is asked for twice', async () => {
      a = await startHub()
      await a.connect()
      await Promise.all([a.hub.close({ reason: 'one' }), a.hub.close({ reason: 'two' })])
      expect(a.leases.released).to.have.lengthOf(1)
    })
  })
})
