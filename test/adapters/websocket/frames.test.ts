import { expect } from 'chai'
import type { AgentId, CommandId, SessionId } from '../../../domain/ids.ts'
import type { ReportAnswer } from '../../../domain/ports/delivery.ts'
import { eventually } from '../../support/eventually.ts'
import { type AHub, startHub } from './support/a-hub.ts'
import type { AgentClient } from './support/agent-client.ts'
import { aSessionId } from './support/fake-outbox.ts'

const EDGE = 'edge-1' as AgentId

describe('the frames of an agent', () => {
  let a: AHub
  let client: AgentClient
  beforeEach(async () => {
    a = await startHub()
    client = await a.connect()
  })
  afterEach(() => a.stop())

  const status = (sessionId: SessionId, generation = 1, message = 'as it is') =>
    client.send({ type: 'status', sessionId, generation, status: 'running', message })

  describe('that cannot be understood', () => {
    for (const [what, frame] of [
      ['no JSON', '{'],
      ['an array', '[]'],
      ['null', 'null'],
      ['a binary frame', Buffer.from('{"type":"ack","commandIds":[]}')],
      ['very deep nesting', '['.repeat(200_000)],
    ] as const)
      it(`are answered with bad_frame: ${what}`, async () => {
        client.raw(frame)
        expect(await client.next('error')).to.include({ code: 'bad_frame' })
      })

    it('are answered with bad_message and the field that is wrong', async () => {
      client.raw({ type: 'status', sessionId: 'no uuid', generation: 1, status: 'running' })
      const error = await client.next('error')
      expect(error).to.include({ code: 'bad_message', about: 'status' })
      expect(error.message).to.match(/^status\.sessionId /)
    })

    it('close the socket with 1008 at the twentieth', async () => {
      for (let count = 0; count < 19; count++) client.raw(count % 2 === 0 ? '{' : { type: 'ack' })
      await client.count('error', 19)
      expect(client.closing).to.equal(null)
      client.raw('{')
      expect((await client.closed()).code).to.equal(1008)
      expect(a.hub.holds(EDGE)).to.equal(false)
    })

    it('do not count when their type is unknown', async () => {
      for (let count = 0; count < 50; count++) client.raw({ type: 'telemetry', of: 'the future' })
      const errors = await client.count('error', 50)
      expect(errors[0]).to.include({ code: 'unknown_type', about: 'telemetry' })
      expect(client.closing).to.equal(null)
    })

    it('are neither answered nor counted when they are errors', async () => {
      for (let count = 0; count < 50; count++) {
        client.send({ type: 'error', code: 'bad_frame', message: 'you too' })
        client.raw({ type: 'error', code: 5, message: ['of another version'], about: {} })
      }
      client.raw({ type: 'telemetry' })
      expect(await client.count('error', 1)).to.have.length(1)
      expect(client.of('error').at(0)).to.include({ code: 'unknown_type', about: 'telemetry' })
      expect(client.closing).to.equal(null)
    })

    it('close the socket with 1009 when they are too large', async () => {
      client.raw({ type: 'telemetry', of: 'x'.repeat(1024 * 1024) })
      expect((await client.closed()).code).to.equal(1009)
      await eventually(() => expect(a.leases.released).to.have.lengthOf(1))
    })

    it('do not fill the memory of the server when their sender does not read', async () => {
      client.socket.pause()
      const flood = JSON.stringify({ type: 'x'.repeat(64) })
      for (let count = 0; count < 100_000; count++) client.socket.send(flood)
      await eventually(() => expect(client.socket.bufferedAmount).to.equal(0))
      client.socket.resume()
      await eventually(() => {
        client.raw({ type: 'now I read' })
        expect(client.of('error').at(-1)).to.include({ about: 'now I read' })
      })
      expect(client.of('error').length).to.be.within(100, 90_000)
    }).timeout(120_000)
  })

  describe('that report', () => {
    it('are handed to the core under the epoch of the connection, with text that can be stored', async () => {
      const [one, two] = [aSessionId(), aSessionId()]
      const commandId = crypto.randomUUID() as CommandId
      client.raw({
        type: 'result',
        commandId,
        sessionId: one,
        generation: 3,
        outcome: 'failed',
        error: { code: 'no_port', message: 'nul \u0000 here', retryable: true },
        observed: { status: 'failed', exitCode: 1, future: true },
      })
      client.raw({ type: 'result', commandId, sessionId: two, generation: 4, outcome: 'applied' })
      client.send({ type: 'status', sessionId: two, generation: 4, status: 'running', at: new Date().toISOString() })
      client.send({ type: 'activity', sessionId: two, lastActivityAt: '2026-01-02T03:04:05Z' })
      await eventually(() => expect(a.inbox.calls).to.have.lengthOf(4))
      expect(a.inbox.calls.map((call) => call.of)).to.deep.equal([
        {
          commandId,
          sessionId: one,
          generation: 3,
          outcome: 'failed',
          error: { code: 'no_port', message: 'nul \ufffd here', retryable: true },
          observed: { status: 'failed', exitCode: 1 },
        },
        { commandId, sessionId: two, generation: 4, outcome: 'applied', error: null, observed: null },
        { sessionId: two, generation: 4, status: 'running' },
        { sessionId: two, at: new Date('2026-01-02T03:04:05Z') },
      ])
      expect(a.inbox.calls[0]?.peer).to.deep.equal({ agentId: 'edge-1', epoch: 1 })
    })

    it('are handed over in order, without waiting for one to be committed', async () => {
      a.inbox.answer = () => new Promise(() => {})
      const sessionId = aSessionId()
      for (let generation = 1; generation <= 100; generation++) status(sessionId, generation)
      await eventually(() => expect(a.inbox.of('status')).to.have.lengthOf(100))
      const generations = a.inbox.of('status').map((one) => (one as { generation: number }).generation)
      expect(generations).to.deep.equal(Array.from({ length: 100 }, (_, index) => index + 1))
    })

    for (const answer of ['not_yours', 'unexpected_generation'] as const)
      it(`are answered with ${answer} about the session when the core says so`, async () => {
        a.inbox.answer = () => answer
        const sessionId = aSessionId()
        status(sessionId)
        expect(await client.next('error')).to.include({ code: answer, about: sessionId })
        expect(client.closing).to.equal(null)
      })

    it('close the socket with 4003 when the epoch has moved on', async () => {
      a.inbox.answer = (): ReportAnswer => 'fenced'
      status(aSessionId())
      expect((await client.closed()).code).to.equal(4003)
    })

    it('close it with 4004 when that is because the agent was removed or its token rotated', async () => {
      a.leases.removed.add(EDGE)
      a.inbox.answer = (): ReportAnswer => 'fenced'
      for (let n = 0; n < 3; n += 1) status(aSessionId())
      expect((await client.closed()).code).to.equal(4004)
    })

    it('are not read any further while more than 1,000 of them wait', async () => {
      const answers: ((answer: ReportAnswer) => void)[] = []
      a.inbox.answer = () => new Promise((resolve) => answers.push(resolve))
      const message = 'x'.repeat(2_000)
      for (let count = 0; count < 3_000; count++) status(aSessionId(), 1, message)
      await eventually(() => expect(a.hub.stats()).to.include({ pausedSockets: 1 }))
      // What had been read from the socket before, in one piece, still comes.
      expect(a.inbox.calls.length).to.be.within(1_001, 1_100)
      a.inbox.answer = () => 'accepted'
      for (const answer of answers.splice(0)) answer('accepted')
      await eventually(() => expect(a.inbox.calls).to.have.lengthOf(3_000))
      expect(a.hub.stats()).to.include({ pausedSockets: 0, waitingFrames: 0 })
    })

    it('do not keep a socket from being closed while they are not read', async () => {
      a.inbox.answer = () => new Promise(() => {})
      for (let count = 0; count < 1_500; count++) status(aSessionId(), 1, 'x'.repeat(2_000))
      await eventually(() => expect(a.hub.stats()).to.include({ pausedSockets: 1 }))
      a.hub.disconnect(EDGE, 4004, 'token revoked')
      await eventually(() => expect(client.closing).to.include({ code: 4004 }), { within: 3_000 })
    })

    it('are kept and handed over again when the database was lost, and nothing of it reaches the agent', async () => {
      a.inbox.answer = () => Promise.reject(new Error('no database'))
      const sessions = Array.from({ length: 5 }, aSessionId)
      for (const sessionId of sessions) status(sessionId)
      await eventually(() => expect(a.hub.stats()).to.include({ waitingFrames: 5 }))
      const accepted: unknown[] = []
      a.inbox.answer = (call) => {
        accepted.push((call.of as { sessionId: string }).sessionId)
        return 'accepted'
      }
      await eventually(() => expect(a.hub.stats()).to.include({ waitingFrames: 0 }))
      expect(accepted).to.deep.equal(sessions)
      expect(client.frames.map((frame) => frame.type)).to.deep.equal(['welcome'])
      expect(a.log.filter((line) => line.level === 'warn')).to.have.lengthOf(1)
    })

    it('and are given up after the socket has closed', async () => {
      a.inbox.answer = () => Promise.reject(new Error('no database'))
      status(aSessionId())
      await eventually(() => expect(a.inbox.calls).to.have.lengthOf(1))
      client.socket.close()
      await eventually(() => expect(a.hub.holds(EDGE)).to.equal(false))
      expect(a.hub.stats()).to.include({ waitingFrames: 0 })
    })
  })

  describe('heartbeats', () => {
    const beat = (activeSessions: number) =>
      client.send({ type: 'heartbeat', at: new Date().toISOString(), activeSessions, inventoryHash: '0'.repeat(64) })

    it('are written one at a time, and only the newest of those that came meanwhile', async () => {
      let goOn = (): void => {}
      a.inbox.answer = () =>
        new Promise((resolve) => {
          goOn = () => resolve('accepted')
        })
      for (let count = 1; count <= 50; count++) beat(count)
      client.raw({ type: 'telemetry' })
      await client.next('error')
      expect(a.inbox.of('heartbeat')).to.have.lengthOf(1)
      goOn()
      await eventually(() => expect(a.inbox.of('heartbeat')).to.have.lengthOf(2))
      expect(a.inbox.of('heartbeat')[1]).to.include({ activeSessions: 50, capacity: null, degradedReason: null })
      goOn()
    })

    it('carry why the agent is degraded, at once', async () => {
      beat(1)
      client.send({ type: 'degraded', reason: 'engine gone' })
      await eventually(() => expect(a.inbox.of('heartbeat').at(-1)).to.include({ degradedReason: 'engine gone' }))
      client.send({ type: 'degraded', reason: null })
      await eventually(() => expect(a.inbox.of('heartbeat').at(-1)).to.include({ degradedReason: null }))
    })

    it('close the socket with 4003 when the lease is no longer theirs', async () => {
      a.inbox.answer = () => 'fenced'
      beat(1)
      expect((await client.closed()).code).to.equal(4003)
    })
  })
})
