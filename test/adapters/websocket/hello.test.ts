import { expect } from 'chai'
import type { AgentId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { standStill } from '../../support/stand-still.ts'
import { type AHub, startHub } from './support/a-hub.ts'

describe('the hello of an agent', () => {
  let a: AHub
  afterEach(() => a.stop())

  it('is answered with a welcome that carries the new epoch and the intervals', async () => {
    a = await startHub({ heartbeatIntervalMs: 7_000, inventoryIntervalMs: 70_000 })
    const client = await a.dial()
    client.hello({ region: 'eu', labels: { disk: 'ssd' }, lastEpoch: 4, unknownField: true })
    expect(await client.next('welcome')).to.deep.include({
      epoch: 1,
      replicaId: 'replica-1',
      heartbeatIntervalMs: 7_000,
      inventoryIntervalMs: 70_000,
    })
    expect(a.leases.connects).to.deep.equal([
      {
        agentId: 'edge-1',
        replicaId: 'replica-1',
        version: '2.0.0',
        region: 'eu',
        labels: { disk: 'ssd' },
        capacity: { maxSessions: 10, cpuMillis: 4_000, memoryMib: 4_096 },
        lastEpoch: 4,
      },
    ])
    expect(a.hub.holds('edge-1' as AgentId)).to.equal(true)
  })

  it('that does not come in time closes with 4001', async () => {
    a = await startHub({ helloTimeoutMs: 30 })
    const client = await a.dial()
    expect(await client.closed()).to.deep.equal({ code: 4001, reason: 'no hello in time' })
    await eventually(() => expect(a.hub.stats().connecting).to.equal(0))
  })

  it('that came in time is read, though this process had to wait for its turn', async () => {
    a = await startHub({ helloTimeoutMs: 1_000 })
    const client = await a.dial()
    client.hello()
    standStill(1_100)
    expect(await client.next('welcome')).to.include({ epoch: 1 })
  })

  for (const [what, frame] of [
    ['another frame', { type: 'ack', commandIds: [] }],
    ['no JSON', 'hello'],
    ['a binary frame', Buffer.from('{}')],
    ['a hello without capacity', { type: 'hello', protocol: 1, agentId: 'edge-1', platform: 'process', version: '2' }],
  ] as const)
    it(`closes with 4001 when the first frame is ${what}`, async () => {
      a = await startHub()
      const client = await a.dial()
      client.raw(frame)
      expect((await client.closed()).code).to.equal(4001)
      expect(a.leases.connects).to.deep.equal([])
    })

  it('closes with 4001 when the token belongs to another agent', async () => {
    a = await startHub()
    const client = await a.dial()
    client.hello({ agentId: 'edge-2' })
    expect((await client.closed()).code).to.equal(4001)
  })

  it('closes with 4001 on a platform that the agent was not enrolled for', async () => {
    a = await startHub()
    const client = await a.dial()
    client.hello({ platform: 'docker' })
    expect(await client.closed()).to.deep.equal({ code: 4001, reason: 'this agent was enrolled for process' })
  })

  it('closes with 4002 on another protocol version, whatever its hello looks like', async () => {
    a = await startHub()
    const alike = await a.dial()
    alike.hello({ protocol: 2 })
    expect((await alike.closed()).code).to.equal(4002)
    const different = await a.dial()
    different.raw({ type: 'hello', protocol: 3, who: 'edge-1' })
    expect((await different.closed()).code).to.equal(4002)
  })

  it('closes with 4004 when the agent was removed', async () => {
    a = await startHub()
    a.leases.removed.add('edge-1' as AgentId)
    const client = await a.dial()
    client.hello()
    expect((await client.closed()).code).to.equal(4004)
  })

  it('closes with 1013 when the database was lost since the upgrade', async () => {
    a = await startHub()
    const client = await a.dial()
    a.leases.isDown = true
    client.hello()
    expect((await client.closed()).code).to.equal(1013)
  })

  it('of a newer connection closes the older one with 4003, and its lease is not given up', async () => {
    a = await startHub()
    const older = await a.connect()
    const newer = await a.connect()
    expect((await older.closed()).code).to.equal(4003)
    const command = a.outbox.commit('edge-1' as AgentId)
    a.hub.drain('edge-1' as AgentId)
    expect((await newer.next('command')).commandId).to.equal(command.commandId)
    expect(older.of('command')).to.deep.equal([])
    expect(newer.of('welcome')[0]?.epoch).to.equal(2)
    expect(a.leases.released).to.deep.equal([])
    expect(a.hub.stats().connections).to.equal(1)
  })

  it('of the newer of two connections wins, also when the older hears of its lease later', async () => {
    a = await startHub()
    let letIn = (): void => {}
    a.leases.beforeWelcome = () =>
      new Promise<void>((resolve) => {
        letIn = resolve
      })
    const older = await a.dial()
    older.hello()
    await eventually(() => expect(a.leases.epochs.get('edge-1' as AgentId)).to.equal(1))
    a.leases.beforeWelcome = () => {}
    const newer = await a.connect()
    letIn()
    expect((await older.closed()).code).to.equal(4003)
    expect(older.frames).to.deep.equal([])
    expect(newer.closing).to.equal(null)
    expect(a.hub.stats().connections).to.equal(1)
  })

  it('of someone who has left meanwhile gives the lease up again', async () => {
    a = await startHub()
    let letIn = (): void => {}
    a.leases.beforeWelcome = () =>
      new Promise<void>((resolve) => {
        letIn = resolve
      })
    const client = await a.dial()
    client.hello()
    await eventually(() => expect(a.leases.epochs.get('edge-1' as AgentId)).to.equal(1))
    client.socket.terminate()
    // The hub has no way to be asked; an upgrade that comes after the end of the first shows that it was seen.
    a.leases.beforeWelcome = () => {}
    await a.connect('edge-2')
    letIn()
    await eventually(() => expect(a.leases.released).to.deep.equal([{ agentId: 'edge-1', epoch: 1 }]))
    expect(a.hub.holds('edge-1' as AgentId)).to.equal(false)
  })

  it('is the only one: a second is a bad message', async () => {
    a = await startHub()
    const client = await a.connect()
    client.hello()
    expect(await client.next('error')).to.include({ code: 'bad_message', about: 'hello' })
    expect(client.closing).to.equal(null)
  })

  it('is followed by nothing before the welcome', async () => {
    a = await startHub()
    let letIn = (): void => {}
    a.leases.whileConnecting = () =>
      new Promise<void>((resolve) => {
        letIn = resolve
      })
    const client = await a.dial()
    client.hello()
    client.send({ type: 'ack', commandIds: [] })
    expect(await client.next('error')).to.include({ code: 'bad_message', about: 'ack' })
    letIn()
    await client.next('welcome')
  })

  it('gives the lease up when the agent has gone', async () => {
    a = await startHub()
    const client = await a.connect()
    client.socket.close()
    await eventually(() => expect(a.leases.released).to.deep.equal([{ agentId: 'edge-1', epoch: 1 }]))
    expect(a.hub.holds('edge-1' as AgentId)).to.equal(false)
  })

  it('gives a lease up later when the database was lost as the agent went', async () => {
    a = await startHub()
    const client = await a.connect()
    a.leases.isDown = true
    client.socket.close()
    await eventually(() => expect(a.log.filter((line) => line.level === 'warn')).to.have.lengthOf(1))
    a.leases.isDown = false
    await eventually(() => expect(a.leases.released).to.have.lengthOf(1))
  })
})
