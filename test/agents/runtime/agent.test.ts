import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import type { CommandFrame, WireCapacity } from '../../../agents/protocol.ts'
import { inventoryHash } from '../../../agents/runtime/inventory.ts'
import { agentsUnderTest } from '../../support/agents-under-test.ts'
import { aCommand, sessionIdOf } from '../../support/control-plane.ts'
import { eventually } from '../../support/eventually.ts'
import { createLedgerPlatform } from '../../support/ledger-platform.ts'

const typesOf = (frames: readonly { readonly type: string }[]): string[] => frames.map((frame) => frame.type)

describe('an agent', () => {
  const { plane, agent } = agentsUnderTest()

  it('acknowledges a command, applies it and says so', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    const command = aCommand({ generation: 1 })
    await connection.next('inventory')
    connection.send(command)
    expect(await connection.next('result')).to.deep.include({
      commandId: command.commandId,
      sessionId: command.sessionId,
      generation: 1,
      outcome: 'applied',
    })
    expect(typesOf(connection.frames)).to.deep.equal(['hello', 'inventory', 'ack', 'result'])
    expect(connection.of('ack')[0]?.commandIds).to.deep.equal([command.commandId])
  })

  it('acknowledges commands that arrive together in few frames, while applies take as long as they take', async () => {
    const server = await plane()
    const { promise: done, resolve: finish } = Promise.withResolvers<void>()
    await agent(server, createLedgerPlatform({ delay: () => done }))
    const connection = await server.connection(0)
    await connection.next('inventory')
    const commands = Array.from({ length: 50 }, (_, index) => aCommand({ session: index, generation: 1 }))
    for (const command of commands) connection.send(command)
    await eventually(() =>
      expect(connection.of('ack').flatMap((ack) => ack.commandIds)).to.deep.equal(
        commands.map((each) => each.commandId),
      ),
    )
    expect(connection.of('ack').length).to.be.below(commands.length)
    expect(connection.of('result')).to.deep.equal([])
    finish()
    await connection.next('result', 50)
  })

  it('acknowledges a redelivered command again and applies it once', async () => {
    const server = await plane()
    const { promise: done, resolve: finish } = Promise.withResolvers<void>()
    const platform = createLedgerPlatform({ delay: () => done })
    await agent(server, platform)
    const connection = await server.connection(0)
    const command = aCommand({ generation: 1 })
    await connection.next('inventory')
    connection.send(command)
    await connection.next('ack', 1)
    connection.send({ ...command, attempt: 2 })
    await connection.next('ack', 2)
    finish()
    await connection.next('result')
    connection.send({ ...command, attempt: 3 })
    expect(await connection.next('result', 2)).to.include({ commandId: command.commandId, outcome: 'applied' })
    expect(platform.effects).to.have.length(1)
    expect(platform.violations).to.deep.equal([])
  })

  it('sends what it could not send after the next welcome, before the inventory', async () => {
    const server = await plane()
    const { promise: done, resolve: finish } = Promise.withResolvers<void>()
    const platform = createLedgerPlatform({ delay: ({ generation }) => (generation === 1 ? done : Promise.resolve()) })
    await agent(server, platform)
    const connection = await server.connection(0)
    const command = aCommand({ session: 1, generation: 1 })
    connection.send(command)
    await connection.next('ack')
    server.refuse({ status: 503 })
    connection.cut()
    await eventually(() => expect(server.upgrades.length).to.be.at.least(2))
    finish()
    await eventually(() => expect(platform.effects).to.have.length(1))
    platform.change(sessionIdOf(1), { status: 'starting', reason: 'restarting' })
    platform.change(sessionIdOf(1), { status: 'failed', reason: 'exited_early', exitCode: 7 })
    server.refuse(null)
    const next = await server.connection(1)
    await next.next('inventory')
    expect(typesOf(next.frames)).to.deep.equal(['hello', 'result', 'status', 'inventory'])
    expect(next.of('result')[0]).to.include({ commandId: command.commandId, outcome: 'applied' })
    expect(next.of('status')[0]).to.include({ generation: 1, status: 'failed', exitCode: 7 })
    expect(next.of('inventory')[0]?.items).to.deep.equal([
      { sessionId: sessionIdOf(1), generation: 1, status: 'failed', reason: 'exited_early', exitCode: 7 },
    ])
  })

  it('tells of changes that nobody asked for, with when', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    await connection.next('inventory')
    platform.change(sessionIdOf(1), { status: 'failed', reason: 'out_of_memory' })
    platform.listener().activity(sessionIdOf(1), new Date('2026-01-01T00:00:00Z'))
    const status = await connection.next('status')
    expect(status).to.include({ sessionId: sessionIdOf(1), status: 'failed', reason: 'out_of_memory' })
    expect(Date.parse(status.at ?? '')).to.be.closeTo(Date.now(), 60_000)
    expect(await connection.next('activity')).to.include({ lastActivityAt: '2026-01-01T00:00:00.000Z' })
  })

  it('beats on the same socket, with the hash of what it holds and a capacity that has changed', async () => {
    const server = await plane({ heartbeatIntervalMs: 30 })
    const platform = createLedgerPlatform()
    let capacity: WireCapacity = { maxSessions: 5, cpuMillis: 1_000, memoryMib: 512 }
    await agent(server, { ...platform, capacity: async () => capacity })
    const connection = await server.connection(0)
    const pings = setInterval(connection.ping, 5)
    try {
      const first = await connection.next('heartbeat')
      expect(first).to.include({ activeSessions: 0, inventoryHash: inventoryHash([]) })
      expect(first).to.not.have.property('capacity')
      connection.send(aCommand({ session: 4, generation: 9 }))
      capacity = { ...capacity, maxSessions: 6 }
      const hash = inventoryHash([{ sessionId: sessionIdOf(4), generation: 9, status: 'running' }])
      await eventually(() => {
        expect(connection.of('heartbeat').at(-1)).to.include({ activeSessions: 1, inventoryHash: hash })
        expect(connection.of('heartbeat').filter((beat) => beat.capacity !== undefined)).to.have.length(1)
      })
    } finally {
      clearInterval(pings)
    }
  })

  it('sends a full inventory at its interval, and whenever it is asked, with the id of the request', async () => {
    const server = await plane({ inventoryIntervalMs: 20 })
    await agent(server, createLedgerPlatform())
    const connection = await server.connection(0)
    await connection.next('inventory', 3)
    connection.send({ type: 'inventoryRequest', requestId: 'r-1' })
    await eventually(() => expect(connection.of('inventory').map((page) => page.requestId)).to.include('r-1'))
  })

  it('says after the welcome and on each change that its platform cannot be used', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    await connection.next('inventory')
    expect(connection.of('degraded')).to.deep.equal([])
    platform.listener().degraded('no Docker engine')
    platform.listener().degraded('no Docker engine')
    expect((await connection.next('degraded')).reason).to.equal('no Docker engine')

    connection.cut()
    const next = await server.connection(1)
    await next.next('inventory')
    expect(typesOf(next.frames)).to.deep.equal(['hello', 'degraded', 'inventory'])
    platform.listener().degraded(null)
    expect((await next.next('degraded', 2)).reason).to.equal(null)
    expect(connection.of('degraded')).to.have.length(1)
  })

  it('takes back on the next connection what ended while there was none', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    await connection.next('inventory')
    platform.listener().degraded('disk full')
    await connection.next('degraded')
    server.refuse({ status: 503 })
    connection.cut()
    await eventually(() => expect(server.upgrades.length).to.be.at.least(2))
    platform.listener().degraded(null)
    server.refuse(null)
    expect((await (await server.connection(1)).next('degraded')).reason).to.equal(null)
  })

  it('rejects a command that it can name but not understand, and does not acknowledge it', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    await connection.next('inventory')
    const { desired: _, ...command } = aCommand({ generation: 5 })
    connection.sendText(JSON.stringify({ ...command, desired: { state: 'floating' } }))
    const result = await connection.next('result')
    expect(result).to.include({
      commandId: command.commandId,
      sessionId: command.sessionId,
      generation: 5,
      outcome: 'rejected',
    })
    expect(result.error).to.include({ code: 'bad_message', retryable: false })
    expect(result.error?.message).to.contain('command.desired.state')
    expect(connection.of('ack')).to.deep.equal([])
    expect(platform.effects).to.deep.equal([])
  })

  it('complains about frames it cannot understand, and goes on', async () => {
    const server = await plane()
    await agent(server, createLedgerPlatform())
    const connection = await server.connection(0)
    await connection.next('inventory')
    const frames: [string | Buffer, string][] = [
      ['not JSON', 'bad_frame'],
      [Buffer.from('{}'), 'bad_frame'],
      ['{"type":"command","commandId":"none"}', 'bad_message'],
      ['{"type":"somethingNew"}', 'unknown_type'],
    ]
    for (const [frame] of frames) connection.sendText(frame)
    await connection.next('error', frames.length)
    expect(connection.of('error').map((error) => error.code)).to.deep.equal(frames.map(([, code]) => code))
    connection.send(aCommand({ generation: 1 }))
    await connection.next('result')
  })

  it('never answers an error, not even a damaged one', async () => {
    const server = await plane()
    await agent(server, createLedgerPlatform())
    const connection = await server.connection(0)
    await connection.next('inventory')
    connection.send({ type: 'error', code: 'bad_message', message: 'status.at must be a time', about: 'status' })
    connection.sendText('{"type":"error","code":7}')
    connection.send(aCommand({ generation: 1 }))
    await connection.next('result')
    expect(connection.of('error')).to.deep.equal([])
  })

  it('lets facts collect when the server does not read, and tells the newest when it reads again', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    await connection.next('inventory')
    connection.pause()
    const message = 'm'.repeat(4_000)
    // Far more than the socket and the kernel hold: 80 MB if it were buffered.
    const changes = 20_000
    for (let change = 1; change <= changes; change += 1)
      platform.change(sessionIdOf(change % 10), { status: 'running', message, restarts: change })
    connection.resume()
    const newest = Array.from({ length: 10 }, (_, index) => changes - 9 + index)
    await eventually(() => {
      const last = Array.from({ length: 10 }, (_, session) =>
        connection.of('status').findLast((status) => status.sessionId === sessionIdOf(session)),
      )
      expect(last.map((status) => status?.restarts).sort((a, b) => Number(a) - Number(b))).to.deep.equal(newest)
    })
    expect(connection.of('status').length).to.be.below(changes / 2)
  })
})

describe('stopping an agent', () => {
  const { plane, agent } = agentsUnderTest()

  it('leaves sessions as they are, and says goodbye to the server', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    const running = await agent(server, platform)
    const connection = await server.connection(0)
    connection.send(aCommand({ generation: 1 }))
    await connection.next('result')
    await running.stop('leave')
    expect(platform.ending()).to.equal('closed')
    expect(platform.held(sessionIdOf(1))).to.not.equal(null)
    expect(running.connected()).to.equal(false)
    await eventually(() => expect(connection.closed()).to.equal(1001))
    expect(server.upgrades).to.have.length(1)
  })

  it('suspends sessions only after the connection has ended, so that none of it is reported as their wish', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    const running = await agent(server, {
      ...platform,
      suspend: async () => {
        platform.change(sessionIdOf(1), { status: 'stopped' })
        await platform.suspend()
      },
    })
    const connection = await server.connection(0)
    connection.send(aCommand({ generation: 1 }))
    await connection.next('result')
    await running.stop('suspend')
    expect(platform.ending()).to.equal('suspended')
    await eventually(() => expect(connection.closed()).to.equal(1001))
    expect(connection.of('status')).to.deep.equal([])
  })

  it('interrupts what is being applied and answers nothing of it', async () => {
    const server = await plane()
    const platform = createLedgerPlatform({ delay: 60_000 })
    const running = await agent(server, platform)
    const connection = await server.connection(0)
    connection.send(aCommand({ generation: 1 }) satisfies CommandFrame)
    await connection.next('ack')
    await Promise.all([running.stop('leave'), running.stop('suspend')])
    expect(platform.ending()).to.equal('closed')
    await eventually(() => expect(connection.closed()).to.equal(1001))
    expect(connection.of('result')).to.deep.equal([])
    expect(platform.effects).to.deep.equal([])
  })

  it('ends an agent whose server accepts and then says nothing', async () => {
    const sockets: Socket[] = []
    const mute = createServer((socket) => sockets.push(socket))
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = mute.address() as AddressInfo
      const platform = createLedgerPlatform()
      const running = await agent({ url: `http://127.0.0.1:${port}` }, platform)
      await eventually(() => expect(sockets).to.have.length(1))
      await running.stop('leave')
      expect(platform.ending()).to.equal('closed')
      expect(running.lines).to.deep.equal([])
    } finally {
      for (const socket of sockets) socket.destroy()
      mute.close()
    }
  })

  it('ends an agent that has no server, too', async () => {
    const server = await plane()
    server.refuse({ status: 401 })
    const platform = createLedgerPlatform()
    const running = await agent(server, platform, { reconnectCapMs: 60_000 })
    await eventually(() => expect(running.lines).to.have.length(1))
    await running.stop('leave')
    expect(platform.ending()).to.equal('closed')
  })
})
