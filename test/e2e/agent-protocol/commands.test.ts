/**
 * The agent protocol from outside: a client that was written from its document alone, against a real server.
 * What it says is what any agent of anyone may say. Here: what a command says, and what becomes of it.
 */
import { expect } from 'chai'
import { agentsByHand, running } from '../support/agents-by-hand.ts'
import { eventually } from '../support/eventually.ts'
import { endpoint } from '../support/raw-agent.ts'
import type { Json } from '../support/rest.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

describe('commands to agents, by hand', function () {
  this.timeout(120_000)
  const hand = agentsByHand()
  const { enrolled, online, sessionOn, commandsOf, runningOn } = hand

  describe('a command', () => {
    it('has exactly the fields that the document lists, and all that there is to know', async () => {
      const { id, agent } = await online()
      const session = await hand.rest.create({
        template: 'hello-web',
        agentId: id,
        name: 'by hand',
        parameters: { title: 'Salut' },
        env: { EXTRA: 'yes' },
        resources: { memoryMib: 99 },
        persistentHome: false,
      })
      const command = await agent.command()
      expect(Object.keys(command).sort()).to.deep.equal(
        ['type', 'commandId', 'command', 'sessionId', 'generation', 'attempt', 'expiresAt', 'desired'].sort(),
      )
      expect(command).to.include({ command: 'start_session', sessionId: session.id, generation: 1, attempt: 1 })
      expect(command.commandId).to.match(UUID)
      expect(command.expiresAt).to.match(TIME)
      expect(Object.keys(command.desired).sort()).to.deep.equal(
        ['state', 'incarnation', 'spec', 'persistentHome', 'orgId', 'userId', 'name', 'template'].sort(),
      )
      expect(command.desired).to.deep.include({
        state: 'running',
        incarnation: 0,
        persistentHome: false,
        orgId: 'default',
        userId: 'admin',
        name: 'by hand',
        template: { name: 'hello-web', version: 1 },
      })
      const { spec } = command.desired
      expect(spec.resources).to.deep.equal({ cpuMillis: 100, memoryMib: 99 })
      expect(spec.env).to.deep.equal({ HELLO_TITLE: 'Salut', EXTRA: 'yes' })
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the agent replaces it
      expect(spec.process.command).to.deep.equal(['node', '${apps}/hello-web.js'])
      expect(spec.ports[0]).to.include({ name: 'http', protocol: 'http' })
    })

    it('acknowledged and done: the row tells how its session runs and when each step was', async () => {
      const { id, agent } = await online()
      const session = await sessionOn(id)
      const command = await agent.command()
      agent.ack(command)
      agent.status(command, { status: 'starting', reason: 'pulling_image', message: 'half of it' })
      await eventually(async () =>
        expect(await hand.rest.session(session.id)).to.include({
          status: 'scheduling',
          statusReason: 'pulling_image',
          statusMessage: 'half of it',
        }),
      )
      agent.result(command, {
        outcome: 'applied',
        observed: { status: 'running', endpoint, node: 'n1', containerId: 'c1' },
      })
      const done = await hand.rest.until(session.id, 'running')
      expect(done).to.deep.include({ endpoint, node: 'n1', containerId: 'c1', observedGeneration: 1, agentId: id })
      const [row] = await commandsOf(session.id)
      expect(row).to.include({ id: command.commandId, status: 'done', agentId: id, type: 'start_session' })
      for (const at of ['sentAt', 'ackedAt', 'finishedAt']) expect(row[at], at).to.match(TIME)
    })

    it('for every intent says what is wanted, with a generation that rises', async () => {
      const known = await online()
      const { agent } = known
      const { id } = await runningOn(known)
      const intents = [
        ['stop', 'stop_session', 'stopped', 'stopped'],
        ['start', 'start_session', 'running', 'running'],
        ['hibernate', 'hibernate_session', 'hibernated', 'hibernated'],
        ['wake', 'wake_session', 'running', 'running'],
        ['restart', 'start_session', 'running', 'running'],
      ] as const
      for (const [index, [action, type, state, status]] of intents.entries()) {
        await hand.rest.post(`/sessions/${id}/${action}`)
        const command = await agent.command(index + 2)
        expect(command).to.include({ command: type, sessionId: id, generation: index + 2 })
        expect(command.desired).to.include({ state, incarnation: action === 'restart' ? 1 : 0 })
        agent.ack(command)
        agent.result(command, { outcome: 'applied', observed: { status } })
        await hand.rest.until(id, status)
      }
      await hand.rest.ask('DELETE', `/sessions/${id}`)
      const last = await agent.command(intents.length + 2)
      expect(last).to.include({ command: 'delete_session' })
      expect(last.desired.state).to.equal('deleted')
      agent.ack(last)
      agent.result(last, { outcome: 'applied' })
      await hand.rest.gone(id)
    })

    it('that is not acknowledged is sent again, and is the same command', async () => {
      const { id, agent } = await online()
      const session = await sessionOn(id)
      const first = await agent.next('command', 1)
      const second = await agent.next('command', 2)
      const third = await agent.next('command', 3)
      for (const again of [second, third]) expect({ ...again, attempt: 1 }).to.deep.equal(first)
      expect([first.attempt, second.attempt, third.attempt]).to.deep.equal([1, 2, 3])
      agent.ack(third)
      agent.result(third, running)
      await hand.rest.until(session.id, 'running')
      const sent = agent.commands().length
      // Nothing more comes: a whole turn of heartbeats later it is still so.
      agent.heartbeat([{ sessionId: session.id, generation: 1, status: 'running' }])
      const next = await runningOn({ id, agent })
      expect(
        agent
          .commands()
          .slice(sent)
          .map(({ sessionId }) => sessionId),
      ).to.deep.equal([next.id])
    })

    it('that was not acknowledged before the socket broke is sent again on the next', async () => {
      const known = await enrolled()
      const first = await hand.connect(known)
      await first.begin()
      const session = await sessionOn(known.id)
      const command = await first.command()
      first.cut()
      const second = await hand.connect(known)
      await second.begin()
      const again = await second.command()
      expect(again).to.include({ commandId: command.commandId, generation: 1 })
      second.ack(again)
      second.result(again, running)
      await hand.rest.until(session.id, 'running')
    })

    it('that failed for now is sent again; that failed for good fails the session', async () => {
      const { id, agent } = await online()
      const session = await sessionOn(id)
      const first = await agent.next('command')
      agent.ack(first)
      agent.result(first, {
        outcome: 'failed',
        error: { code: 'platform_error', message: 'the engine naps', retryable: true },
      })
      await eventually(async () =>
        expect((await hand.rest.session(session.id)).statusMessage).to.include('the engine naps'),
      )
      expect((await commandsOf(session.id))[0]).to.include({ status: 'pending' })
      const second = await agent.next('command', 2, 10_000)
      expect(second.commandId).to.equal(first.commandId)
      expect(second.attempt).to.be.above(first.attempt)
      agent.ack(second)
      agent.result(second, {
        outcome: 'failed',
        error: { code: 'image_not_found', message: 'no such image', retryable: false },
        observed: { status: 'failed', reason: 'image_not_found', message: 'no such image' },
      })
      const failed = await hand.rest.until(session.id, 'failed')
      expect(failed).to.include({
        statusReason: 'image_not_found',
        statusMessage: 'no such image',
        observedGeneration: 1,
      })
      expect((await commandsOf(session.id))[0]).to.include({ status: 'failed' })
      const { body } = await hand.rest.get(`/agents/${id}`)
      expect(body.allocated.sessions, 'nothing runs, so nothing is held').to.equal(0)
    })

    it('that the agent does not understand is dead, and its session failed', async () => {
      const { id, agent } = await online()
      const session = await sessionOn(id)
      const command = await agent.command()
      agent.ack(command)
      agent.result(command, { outcome: 'rejected', error: { code: 'rejected', message: 'what is a process?' } })
      const failed = await hand.rest.until(session.id, 'failed')
      expect(failed.statusReason).to.equal('rejected')
      expect(failed.statusMessage).to.include('what is a process?')
      expect((await commandsOf(session.id))[0]).to.include({ status: 'dead' })
      const { body } = await hand.rest.get('/commands?status=dead')
      expect(body.items.map(({ sessionId }: Json) => sessionId)).to.include(session.id)
    })

    it('of a superseded generation is never sent after one of a higher', async () => {
      const known = await online()
      const { agent } = known
      const { id } = await runningOn(known)
      for (const action of ['stop', 'start', 'stop', 'start', 'stop'])
        expect((await hand.rest.post(`/sessions/${id}/${action}`)).status).to.equal(202)
      await eventually(() => expect(agent.of('command').at(-1).generation).to.equal(6))
      const last = agent.of('command').at(-1)
      agent.ack(last)
      agent.result(last, { outcome: 'applied', observed: { status: 'stopped' } })
      await hand.rest.until(id, 'stopped')
      const generations = agent.of('command').map(({ generation }) => generation)
      expect(generations).to.deep.equal([...generations].sort((a, b) => a - b))
      const rows = await eventually(async () => {
        const found = await commandsOf(id)
        expect(found.map(({ status }) => status)).not.to.include('pending')
        return found
      })
      expect(rows.map(({ generation }) => generation)).to.deep.equal([1, 2, 3, 4, 5, 6])
      expect(rows.slice(1, -1).map(({ status }) => status)).to.deep.equal(Array(4).fill('superseded'))
      expect([rows.at(0).status, rows.at(-1).status]).to.deep.equal(['done', 'done'])
    })

    it('waits for an agent that is away, however many there are, and comes in order', async () => {
      const known = await online()
      const sessions: Json[] = []
      for (let count = 0; count < 3; count += 1) sessions.push(await runningOn(known))
      known.agent.cut()
      for (const { id } of sessions) await hand.rest.post(`/sessions/${id}/stop`)
      const again = await hand.connect(known)
      await again.begin(sessions.map(({ id }) => ({ sessionId: id, generation: 1, status: 'running' })))
      await again.command(3)
      expect(
        again
          .commands()
          .slice(0, 3)
          .map(({ sessionId }) => sessionId),
      ).to.deep.equal(sessions.map(({ id }) => id))
    })
  })
})
