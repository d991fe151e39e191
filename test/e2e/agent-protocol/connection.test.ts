/**
 * The agent protocol from outside: a client that was written from its document alone, against a real server.
 * What it says is what any agent of anyone may say. Here: how a connection begins and ends, and what does not end it.
 */

import { expect } from 'chai'
import { quickestOf, timed } from '../../support/quickest.ts'
import { agentsByHand, type Known } from '../support/agents-by-hand.ts'
import { eventually } from '../support/eventually.ts'
import { connect, upgrade } from '../support/raw-agent.ts'
import { enrol, migratedDatabase, server } from '../support/streamspace.ts'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

describe('connections of agents, by hand', function () {
  this.timeout(120_000)
  const hand = agentsByHand(1_000)
  const { enrolled, online } = hand

  describe('the upgrade', () => {
    it('is refused without the subprotocol, without a token, and with one that nobody has', async () => {
      const { token } = await enrolled()
      expect((await upgrade(hand.url, { token, subprotocols: [] })).status).to.equal(400)
      expect((await upgrade(hand.url, { token, subprotocols: ['something.else'] })).status).to.equal(400)
      expect((await upgrade(hand.url)).status).to.equal(401)
      for (const wrong of ['nonsense', `ssa_${'x'.repeat(43)}`, hand.rest.key])
        expect((await upgrade(hand.url, { token: wrong })).status, wrong).to.equal(401)
      expect((await upgrade(hand.url, { token })).status).to.equal(101)
    })
  })

  describe('the hello', () => {
    it('is answered with a welcome whose epoch rises with every connection', async () => {
      const known = await enrolled()
      const first = await hand.connect(known)
      first.hello()
      const welcome = await first.next('welcome')
      expect(welcome).to.include({ epoch: 1, heartbeatIntervalMs: 1_000, inventoryIntervalMs: 120_000 })
      expect(welcome.replicaId).to.be.a('string').and.not.equal('')
      expect(welcome.serverTime).to.match(TIME)
      expect(first.received[0]).to.equal(welcome)
      const second = await hand.connect(known)
      expect((await second.begin()).epoch).to.equal(2)
      expect((await first.closed()).code).to.equal(4003)
      expect(second.isOpen()).to.equal(true)
      await eventually(async () =>
        expect((await hand.rest.get(`/agents/${known.id}`)).body).to.include({ status: 'online', epoch: 2 }),
      )
    })

    it('with another agent id, another platform, or no sense ends in 4001; another version in 4002', async () => {
      for (const [change, code] of [
        [{ agentId: 'somebody-else' }, 4001],
        [{ platform: 'docker' }, 4001],
        [{ capacity: 'plenty' }, 4001],
        [{ protocol: 2 }, 4002],
      ] as const) {
        const agent = await hand.connect(await enrolled())
        agent.hello(change)
        expect((await agent.closed()).code, JSON.stringify(change)).to.equal(code)
        expect(agent.of('welcome')).to.deep.equal([])
      }
      const rude = await hand.connect(await enrolled())
      rude.send({ type: 'heartbeat' })
      expect((await rude.closed()).code, 'something else first').to.equal(4001)
    })

    it('that does not come within five seconds ends in 4001', async () => {
      await quickestOf(3, 7_500, async () => {
        const agent = await hand.connect(await enrolled())
        const took = await timed(async () => expect((await agent.closed()).code).to.equal(4001))
        expect(took).to.be.at.least(3_000)
        return took
      })
    })

    it('may be one version ahead: fields that nobody knows are ignored', async () => {
      const agent = await hand.connect(await enrolled())
      await agent.begin([], { colour: 'blue', capacity: { maxSessions: 1, cpuMillis: 1, memoryMib: 1, gpus: 3 } })
      agent.send({ type: 'dance', style: 'tango' })
      expect(await agent.next('error')).to.include({ code: 'unknown_type' })
      expect(agent.isOpen()).to.equal(true)
    })
  })

  describe('frames that are none', () => {
    it('are answered and ignored, and close the socket only when there are twenty of them', async () => {
      const { agent } = await online()
      const bad = [
        'nonsense',
        '[]',
        'null',
        Buffer.from('{"type":"ack"}'),
        { type: 'ack' },
        { type: 'status', sessionId: 7 },
      ]
      for (const frame of bad) agent.send(frame)
      await agent.next('error', bad.length)
      expect(agent.of('error').map(({ code }) => code)).to.deep.equal([
        'bad_frame',
        'bad_frame',
        'bad_frame',
        'bad_frame',
        'bad_message',
        'bad_message',
      ])
      expect(agent.isOpen()).to.equal(true)
      for (let count = bad.length; count < 20; count += 1) agent.send('nonsense')
      expect((await agent.closed()).code).to.equal(1008)
    })

    it('that are too large close it at once', async () => {
      const { agent } = await online()
      agent.send({ type: 'error', message: 'x'.repeat(1024 * 1024) })
      expect((await agent.closed()).code).to.equal(1009)
    })
  })

  describe('silence', () => {
    // So that `degraded`, between three intervals and six, lasts long enough to be seen.
    const slow = agentsByHand(3_000)

    it('of an agent shows after three intervals and ends its connection after six; one that beats stays', async () => {
      const silent = await slow.online()
      const beating = await slow.online()
      const { id } = await slow.runningOn(silent)
      const statusOf = async (known: Known): Promise<string> => (await slow.rest.get(`/agents/${known.id}`)).body.status
      const beat = setInterval(() => beating.agent.heartbeat(), 500)
      slow.here.finally(async () => clearInterval(beat))
      await eventually(async () => expect(await statusOf(silent)).to.equal('degraded'))
      expect((await silent.agent.closed()).code).to.equal(4008)
      await eventually(async () => expect(await statusOf(silent)).to.equal('offline'))
      expect(await slow.rest.session(id), 'silence ends nothing').to.include({
        status: 'running',
        agentReachable: false,
      })
      await eventually(async () => expect(await statusOf(beating)).to.equal('online'))
      expect(beating.agent.isOpen()).to.equal(true)
      expect(beating.agent.pings(), 'the server pings every interval').to.be.at.least(4)
      clearInterval(beat)
    })
  })

  describe('the end of a connection', () => {
    it('comes when its token is rotated, and the old token is none any more', async () => {
      const { id, token, agent } = await online()
      const { status, body } = await hand.rest.post(`/agents/${id}/token`)
      expect(status).to.equal(200)
      expect((await agent.closed()).code).to.equal(4004)
      expect((await upgrade(hand.url, { token })).status).to.equal(401)
      expect((await upgrade(hand.url, { token: body.token })).status).to.equal(101)
    })

    it('comes when the agent is removed', async () => {
      const { id, token, agent } = await online()
      expect((await hand.rest.ask('DELETE', `/agents/${id}`)).status).to.equal(204)
      expect((await agent.closed()).code).to.equal(4004)
      expect((await upgrade(hand.url, { token })).status).to.equal(401)
    })

    it('a server that stops says bye and when to come back', async () => {
      const last = await server(hand.here, await migratedDatabase(hand.here))
      const token = await enrol(last.rest, 'leaving')
      const agent = await connect(hand.here, last.url, { id: 'leaving', token })
      await agent.begin()
      last.program.signal('SIGTERM')
      const bye = await agent.next('bye')
      expect(bye.reason).to.be.a('string')
      expect(bye.reconnectAfterMs).to.be.at.least(0)
      expect((await agent.closed()).code).to.equal(1001)
      expect(await last.program.end()).to.deep.equal({ code: 0, signal: null })
    })
  })
})
