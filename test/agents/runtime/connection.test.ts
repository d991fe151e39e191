import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { connectUrl } from '../../../agents/runtime/agent.ts'
import { agentsUnderTest, TOKEN } from '../../support/agents-under-test.ts'
import { aCommand } from '../../support/control-plane.ts'
import { eventually } from '../../support/eventually.ts'
import { createLedgerPlatform } from '../../support/ledger-platform.ts'

describe('the connection of an agent', () => {
  const { plane, agent, directory } = agentsUnderTest()

  it('dials the path of the protocol with its token and subprotocol, and says hello first', async () => {
    const server = await plane()
    const capacity = { maxSessions: 5, cpuMillis: 4_000, memoryMib: 2_048 }
    const running = await agent(server, createLedgerPlatform({ capacity }), { region: 'eu', labels: { rack: 'a' } })
    const connection = await server.connection(0)
    expect(server.upgrades[0]?.path).to.equal('/agents/connect')
    expect(server.upgrades[0]?.headers).to.include({
      authorization: `Bearer ${TOKEN}`,
      'sec-websocket-protocol': 'streamspace.agent.v1',
    })
    expect(server.upgrades[0]?.headers).to.not.have.property('sec-websocket-extensions')
    expect(connection.frames[0]).to.deep.equal({
      type: 'hello',
      protocol: 1,
      agentId: 'edge-1',
      platform: 'process',
      version: '2.0.0',
      region: 'eu',
      labels: { rack: 'a' },
      capacity,
    })
    await eventually(() => expect(running.connected()).to.equal(true))
  })

  it('is not connected before the welcome, and tries again when none comes', async () => {
    const server = await plane({ welcomes: false })
    const running = await agent(server, createLedgerPlatform())
    await server.connection(0)
    expect(running.connected()).to.equal(false)
    await server.connection(1)
    expect(server.connections[0]?.frames).to.have.length(1)
    expect(running.lines.map((line) => JSON.stringify(line.details)).join()).to.contain('no welcome')
  })

  it('keeps the highest epoch it was welcomed with on disk and names it in the next hello', async () => {
    const server = await plane({ epoch: 41 })
    const stateDir = await directory()
    const first = await agent(server, createLedgerPlatform(), { stateDir })
    expect((await (await server.connection(0)).next('hello')).lastEpoch).to.equal(undefined)
    server.connections[0]?.cut()
    expect((await (await server.connection(1)).next('hello')).lastEpoch).to.equal(41)
    await eventually(() => expect(first.connected()).to.equal(true))
    await first.stop('leave')
    expect(await readdir(stateDir)).to.deep.equal(['edge-1.last-epoch'])
    expect(await readFile(join(stateDir, 'edge-1.last-epoch'), 'utf8')).to.equal('42\n')

    await agent(server, createLedgerPlatform(), { stateDir })
    expect((await (await server.connection(2)).next('hello')).lastEpoch).to.equal(42)
  })

  it('comes back when bye says so, not before', async () => {
    const server = await plane()
    await agent(server, createLedgerPlatform())
    const connection = await server.connection(0)
    await connection.next('inventory')
    const saidAt = performance.now()
    connection.send({ type: 'bye', reason: 'rolling restart', reconnectAfterMs: 300 })
    connection.close(1001)
    await server.connection(1)
    // Timers are of whole milliseconds, the clock is finer.
    expect(server.upgrades[1]!.at - saidAt).to.be.at.least(295)
  })

  it('stays away for as long as a 503 asks, and then connects', async () => {
    const server = await plane()
    server.refuse({ status: 503, headers: { 'retry-after': '1' } })
    const running = await agent(server, createLedgerPlatform())
    await eventually(() => expect(server.upgrades).to.have.length(1))
    server.refuse(null)
    await server.connection(0)
    const [refusedAt, acceptedAt] = server.upgrades.map((upgrade) => upgrade.at) as [number, number]
    expect(acceptedAt - refusedAt).to.be.at.least(995)
    expect(server.upgrades).to.have.length(2)
    expect(running.lines[0]).to.deep.include({ level: 'warn' })
  })

  it('says clearly that its token is not accepted, keeps trying, and never writes the token into the log', async () => {
    const server = await plane()
    server.refuse({ status: 401 })
    const running = await agent(server, createLedgerPlatform())
    await eventually(() => expect(server.upgrades.length).to.be.at.least(3))
    server.refuse(null)
    await server.connection(0)
    await eventually(() => expect(running.connected()).to.equal(true))
    expect(running.lines[0]).to.include({ level: 'error' })
    expect(running.lines[0]?.message).to.contain('token is not accepted')
    expect(JSON.stringify(running.lines)).to.not.contain(TOKEN)
  })

  it('says clearly that it was removed, and keeps trying', async () => {
    const server = await plane()
    const running = await agent(server, createLedgerPlatform())
    ;(await server.connection(0)).close(4004, 'removed')
    await server.connection(1)
    expect(running.lines.find((line) => line.level === 'error')?.message).to.contain('removed')
  })

  it('leaves several seconds to the connection that replaced it', async () => {
    const server = await plane()
    const running = await agent(server, createLedgerPlatform())
    ;(await server.connection(0)).close(4003, 'replaced')
    const line = await eventually(() => {
      const told = running.lines.find((each) => each.level === 'error')
      if (told === undefined) throw new Error('nothing was said')
      return told
    })
    expect((line.details as { retryInMs: number }).retryInMs).to.be.at.least(5_000)
    expect(server.upgrades).to.have.length(1)
  })

  it('drops a socket on which nothing is heard for three intervals, and dials again', async () => {
    const server = await plane({ heartbeatIntervalMs: 20 })
    const running = await agent(server, createLedgerPlatform())
    const connection = await server.connection(0)
    await server.connection(1)
    expect(connection.of('heartbeat').length).to.be.at.least(2)
    expect(JSON.stringify(running.lines)).to.contain('"silent"')
  })

  it('takes a ping for a sign of life', async () => {
    const server = await plane({ heartbeatIntervalMs: 20 })
    await agent(server, createLedgerPlatform())
    const connection = await server.connection(0)
    const pings = setInterval(connection.ping, 5)
    try {
      await connection.next('heartbeat', 15)
      expect(server.upgrades).to.have.length(1)
    } finally {
      clearInterval(pings)
    }
  })

  it('waits for a server that is not there yet', async () => {
    const server = await plane()
    await server.stop()
    const running = await agent(server, createLedgerPlatform())
    await eventually(() => expect(running.lines.length).to.be.at.least(3))
    expect(running.lines[0]).to.include({ level: 'warn', message: 'the server could not be reached' })
    await running.stop('leave')
  })

  it('waits for a platform that does not say its capacity yet', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    let asked = 0
    const capacity = (): ReturnType<typeof platform.capacity> => {
      asked += 1
      return asked < 3 ? Promise.reject(new Error('no answer from the cluster')) : platform.capacity()
    }
    const running = await agent(server, { ...platform, capacity })
    await server.connection(0)
    expect(asked).to.equal(3)
    expect(running.lines.filter((line) => line.level === 'warn')).to.have.length(2)
  })

  it('takes a damaged file of the last epoch for none', async () => {
    const server = await plane()
    const stateDir = await directory()
    await writeFile(join(stateDir, 'edge-1.last-epoch'), '\u0000\u0000')
    await agent(server, createLedgerPlatform(), { stateDir })
    expect((await server.connection(0)).of('hello')[0]).to.not.have.property('lastEpoch')
  })

  it('applies once what the cut of a cable has made the server send again', async () => {
    const server = await plane()
    const platform = createLedgerPlatform()
    await agent(server, platform)
    const connection = await server.connection(0)
    await connection.next('inventory')
    connection.send(aCommand({ generation: 1 }))
    connection.cut()
    const next = await server.connection(1)
    await next.next('inventory')
    const again = aCommand({ generation: 1 })
    next.send(again)
    expect(await next.next('result')).to.include({ commandId: again.commandId, outcome: 'applied' })
    expect(platform.effects).to.have.length(1)
  })
})

describe('the URL that an agent dials', () => {
  it('is below the base it was given, over WebSocket', () => {
    expect(connectUrl('http://a:8080').href).to.equal('ws://a:8080/agents/connect')
    expect(connectUrl('https://a/').href).to.equal('wss://a/agents/connect')
    expect(connectUrl('wss://a/behind/a/prefix/').href).to.equal('wss://a/behind/a/prefix/agents/connect')
    expect(connectUrl('ws://user:secret@a/?x=1#y').href).to.equal('ws://a/agents/connect')
  })

  it('is refused when it is not one of a server', () => {
    expect(() => connectUrl('ftp://a')).to.throw('ftp:')
    expect(() => connectUrl('nothing')).to.throw('Invalid URL')
  })
})
