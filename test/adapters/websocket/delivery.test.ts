import { expect } from 'chai'
import type { AgentId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { type AHub, startHub } from './support/a-hub.ts'
import type { AgentClient } from './support/agent-client.ts'

const EDGE = 'edge-1' as AgentId

describe('commands on their way to an agent', () => {
  let a: AHub
  afterEach(() => a.stop())

  const ackAll = (client: AgentClient): void =>
    client.send({ type: 'ack', commandIds: client.of('command').map((frame) => frame.commandId) })

  it('are sent at connect when they are due already, and at a drain', async () => {
    a = await startHub()
    const first = a.outbox.commit(EDGE)
    const client = await a.connect()
    await client.count('command', 1)
    const second = a.outbox.commit(EDGE)
    a.hub.drain(EDGE)
    const commands = await client.count('command', 2)
    expect(commands.map((frame) => frame.commandId)).to.deep.equal([first.commandId, second.commandId])
    expect(client.frames[0]?.type).to.equal('welcome')
  })

  it('are read once more when no other replica can remember who held the agent before', async () => {
    a = await startHub({ wakesGoAstrayForMs: 300 })
    const client = await a.connect()
    await eventually(() => expect(a.outbox.reads).to.have.lengthOf(1))
    // Whoever was woken for it is gone.
    const row = a.outbox.commit(EDGE)
    const [command] = await client.count('command', 1)
    expect(command?.commandId).to.equal(row.commandId)
  })

  it('are noted as sent and acked in one note, many commands in one statement', async () => {
    a = await startHub()
    for (let count = 0; count < 100; count++) a.outbox.commit(EDGE)
    const client = await a.connect()
    await client.count('command', 100)
    ackAll(client)
    await eventually(() => expect(a.outbox.rows.every((row) => row.ackedEpoch === 1)).to.equal(true))
    expect(a.outbox.noteCalls.length).to.be.at.most(3)
    expect(a.hub.stats()).to.include({ inFlight: 0 })
  })

  it('are sent again when they are not acked in time, then no more', async () => {
    a = await startHub({ ackTimeoutMs: 50 })
    const row = a.outbox.commit(EDGE)
    const client = await a.connect()
    await eventually(() => expect(client.of('command').length).to.be.at.least(3))
    expect(row.unacked).to.be.at.least(1)
    ackAll(client)
    await eventually(() => expect(row.ackedEpoch).to.equal(1))
    const sent = client.of('command').length
    a.hub.drain(EDGE)
    await eventually(() => expect(a.outbox.reads.at(-1)?.inFlight).to.deep.equal([]))
    expect(client.of('command')).to.have.lengthOf(sent)
  })

  it('are due again for a new connection, acked or not', async () => {
    a = await startHub()
    a.outbox.commit(EDGE)
    const older = await a.connect()
    await older.count('command', 1)
    ackAll(older)
    await eventually(() => expect(a.outbox.rows[0]?.ackedEpoch).to.equal(1))
    const newer = await a.connect()
    await newer.count('command', 1)
  })

  it('end their flight with a result too', async () => {
    a = await startHub()
    const row = a.outbox.commit(EDGE)
    const client = await a.connect()
    await client.count('command', 1)
    const { commandId, sessionId, generation } = row
    client.send({ type: 'result', commandId, sessionId, generation, outcome: 'applied' })
    await eventually(() => expect(a.hub.stats()).to.include({ inFlight: 0, waitingFrames: 0 }))
  })

  it('do not pile up for an agent that does not read, and do not hold up the others', async () => {
    a = await startHub({ windowBytes: 64 * 1024 * 1024 })
    const stalled = await a.connect('stalled')
    const other = await a.connect('other')
    stalled.socket.pause()
    const name = 'x'.repeat(200_000)
    for (let count = 0; count < 200; count++) a.outbox.commit('stalled' as AgentId, { name })
    a.hub.drain('stalled' as AgentId)
    await eventually(() => expect(a.hub.stats()).to.include({ stalledSockets: 1 }))
    const sent = a.hub.stats().inFlight
    expect(sent).to.be.below(100)
    a.outbox.commit('other' as AgentId)
    a.hub.drain('other' as AgentId)
    await other.count('command', 1)
    stalled.socket.on('message', () => ackAll(stalled))
    stalled.socket.resume()
    await eventually(() => expect(new Set(stalled.of('command').map((frame) => frame.commandId))).to.have.lengthOf(200))
    expect(a.hub.stats()).to.include({ stalledSockets: 0 })
  })

  it('wait while the database is lost, and go on when it is back, on the same socket', async () => {
    a = await startHub()
    const client = await a.connect()
    a.outbox.isDown = true
    const row = a.outbox.commit(EDGE)
    a.hub.drain(EDGE)
    await eventually(() => expect(a.log.filter((line) => line.level === 'warn')).to.have.lengthOf(1))
    a.outbox.isDown = false
    await client.count('command', 1)
    ackAll(client)
    await eventually(() => expect(row.ackedEpoch).to.equal(1))
    expect(client.closing).to.equal(null)
  })

  it('are nobody here when nobody is connected', async () => {
    a = await startHub()
    a.hub.drain(EDGE)
    a.hub.requestInventory(EDGE)
    a.hub.disconnect(EDGE, 4004, 'revoked')
    expect(a.hub.holds(EDGE)).to.equal(false)
    expect(a.outbox.reads).to.deep.equal([])
  })

  it('stop when the agent is disconnected with a code', async () => {
    a = await startHub()
    const client = await a.connect()
    a.hub.disconnect(EDGE, 4004, 'token revoked')
    expect(await client.closed()).to.deep.equal({ code: 4004, reason: 'token revoked' })
    expect(a.hub.holds(EDGE)).to.equal(false)
  })
})
