/**
 * The agent protocol from outside: a client that was written from its document alone, against a real server.
 * What it says is what any agent of anyone may say.
 */
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { connect, endpoint, type RawAgent, upgrade } from './support/raw-agent.ts'
import type { Json } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'
import { idle, putTemplate } from './support/templates.ts'

const STRANGER = '01900000-0000-7000-8000-000000000000'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

const running = { outcome: 'applied', observed: { status: 'running', endpoint } }

describe('the agent protocol, spoken by hand', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let serial = 0

  before(async () => {
    control = await server(here, await migratedDatabase(here), {
      STREAMSPACE_ACK_TIMEOUT_MS: '300',
      STREAMSPACE_HEARTBEAT_INTERVAL_MS: '1000',
    })
    await putTemplate(control.rest, idle)
  })

  type Known = { readonly id: string; readonly token: string }

  /** An agent of its own for each test: what one does must not be found by another. */
  const enrolled = async (platform = 'process'): Promise<Known> => {
    serial += 1
    const id = `raw-${serial}`
    return { id, token: await enrol(control.rest, id, platform) }
  }

  const online = async (items: readonly object[] = []): Promise<Known & { readonly agent: RawAgent }> => {
    const known = await enrolled()
    const agent = await connect(here, control.url, known)
    await agent.begin(items)
    return { ...known, agent }
  }

  const sessionOn = (agentId: string, more: object = {}): Promise<Json> =>
    control.rest.create({ template: 'idle', agentId, ...more })

  const commandsOf = async (sessionId: string): Promise<readonly Json[]> =>
    (await control.rest.get(`/sessions/${sessionId}/commands`)).body.items

  /** A session that this agent has brought to run. */
  const runningOn = async ({ id, agent }: { readonly id: string; readonly agent: RawAgent }): Promise<Json> => {
    const before = agent.of('command').length
    const session = await sessionOn(id)
    const command = await agent.next('command', before + 1)
    agent.ack(command)
    agent.result(command, running)
    return control.rest.until(session.id, 'running')
  }

  describe('the upgrade', () => {
    it('is refused without the subprotocol, without a token, and with one that nobody has', async () => {
      const { token } = await enrolled()
      expect((await upgrade(control.url, { token, subprotocols: [] })).status).to.equal(400)
      expect((await upgrade(control.url, { token, subprotocols: ['something.else'] })).status).to.equal(400)
      expect((await upgrade(control.url)).status).to.equal(401)
      for (const wrong of ['nonsense', `ssa_${'x'.repeat(43)}`, control.rest.key])
        expect((await upgrade(control.url, { token: wrong })).status, wrong).to.equal(401)
      expect((await upgrade(control.url, { token })).status).to.equal(101)
    })
  })

  describe('the hello', () => {
    it('is answered with a welcome whose epoch rises with every connection', async () => {
      const known = await enrolled()
      const first = await connect(here, control.url, known)
      first.hello()
      const welcome = await first.next('welcome')
      expect(welcome).to.include({ epoch: 1, heartbeatIntervalMs: 1_000, inventoryIntervalMs: 120_000 })
      expect(welcome.replicaId).to.be.a('string').and.not.equal('')
      expect(welcome.serverTime).to.match(TIME)
      expect(first.received[0]).to.equal(welcome)
      const second = await connect(here, control.url, known)
      expect((await second.begin()).epoch).to.equal(2)
      expect((await first.closed()).code).to.equal(4003)
      expect(second.isOpen()).to.equal(true)
      await eventually(async () =>
        expect((await control.rest.get(`/agents/${known.id}`)).body).to.include({ status: 'online', epoch: 2 }),
      )
    })

    it('with another agent id, another platform, or no sense ends in 4001; another version in 4002', async () => {
      for (const [change, code] of [
        [{ agentId: 'somebody-else' }, 4001],
        [{ platform: 'docker' }, 4001],
        [{ capacity: 'plenty' }, 4001],
        [{ protocol: 2 }, 4002],
      ] as const) {
        const agent = await connect(here, control.url, await enrolled())
        agent.hello(change)
        expect((await agent.closed()).code, JSON.stringify(change)).to.equal(code)
        expect(agent.of('welcome')).to.deep.equal([])
      }
      const rude = await connect(here, control.url, await enrolled())
      rude.send({ type: 'heartbeat' })
      expect((await rude.closed()).code, 'something else first').to.equal(4001)
    })

    it('that does not come within five seconds ends in 4001', async () => {
      const agent = await connect(here, control.url, await enrolled())
      const began = performance.now()
      expect((await agent.closed(8_000)).code).to.equal(4001)
      expect(performance.now() - began).to.be.within(3_000, 7_500)
    })

    it('may be one version ahead: fields that nobody knows are ignored', async () => {
      const agent = await connect(here, control.url, await enrolled())
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

  describe('a command', () => {
    it('has exactly the fields that the document lists, and all that there is to know', async () => {
      const { id, agent } = await online()
      const session = await control.rest.create({
        template: 'hello-web',
        agentId: id,
        name: 'by hand',
        parameters: { title: 'Salut' },
        env: { EXTRA: 'yes' },
        resources: { memoryMib: 99 },
        persistentHome: false,
      })
      const command = await agent.next('command')
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
      const command = await agent.next('command')
      agent.ack(command)
      agent.status(command, { status: 'starting', reason: 'pulling_image', message: 'half of it' })
      await eventually(async () =>
        expect(await control.rest.session(session.id)).to.include({
          status: 'scheduling',
          statusReason: 'pulling_image',
          statusMessage: 'half of it',
        }),
      )
      agent.result(command, {
        outcome: 'applied',
        observed: { status: 'running', endpoint, node: 'n1', containerId: 'c1' },
      })
      const done = await control.rest.until(session.id, 'running')
      expect(done).to.deep.include({ endpoint, node: 'n1', containerId: 'c1', observedGeneration: 1, agentId: id })
      const [row] = await commandsOf(session.id)
      expect(row).to.include({ id: command.commandId, status: 'done', attempts: 1, agentId: id, type: 'start_session' })
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
        await control.rest.post(`/sessions/${id}/${action}`)
        const command = await agent.next('command', index + 2)
        expect(command).to.include({ command: type, sessionId: id, generation: index + 2 })
        expect(command.desired).to.include({ state, incarnation: action === 'restart' ? 1 : 0 })
        agent.ack(command)
        agent.result(command, { outcome: 'applied', observed: { status } })
        await control.rest.until(id, status)
      }
      await control.rest.ask('DELETE', `/sessions/${id}`)
      const last = await agent.next('command', intents.length + 2)
      expect(last).to.include({ command: 'delete_session' })
      expect(last.desired.state).to.equal('deleted')
      agent.ack(last)
      agent.result(last, { outcome: 'applied' })
      await control.rest.gone(id)
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
      await control.rest.until(session.id, 'running')
      const sent = agent.of('command').length
      // Nothing more comes: a whole turn of heartbeats later it is still so.
      agent.heartbeat([{ sessionId: session.id, generation: 1, status: 'running' }])
      const next = await runningOn({ id, agent })
      expect(
        agent
          .of('command')
          .slice(sent)
          .map(({ sessionId }) => sessionId),
      ).to.deep.equal([next.id])
    })

    it('that was not acknowledged before the socket broke is sent again on the next', async () => {
      const known = await enrolled()
      const first = await connect(here, control.url, known)
      await first.begin()
      const session = await sessionOn(known.id)
      const command = await first.next('command')
      first.cut()
      const second = await connect(here, control.url, known)
      await second.begin()
      const again = await second.next('command')
      expect(again).to.include({ commandId: command.commandId, generation: 1 })
      second.ack(again)
      second.result(again, running)
      await control.rest.until(session.id, 'running')
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
        expect((await control.rest.session(session.id)).statusMessage).to.include('the engine naps'),
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
      const failed = await control.rest.until(session.id, 'failed')
      expect(failed).to.include({
        statusReason: 'image_not_found',
        statusMessage: 'no such image',
        observedGeneration: 1,
      })
      expect((await commandsOf(session.id))[0]).to.include({ status: 'failed' })
      const { body } = await control.rest.get(`/agents/${id}`)
      expect(body.allocated.sessions, 'nothing runs, so nothing is held').to.equal(0)
    })

    it('that the agent does not understand is dead, and its session failed', async () => {
      const { id, agent } = await online()
      const session = await sessionOn(id)
      const command = await agent.next('command')
      agent.ack(command)
      agent.result(command, { outcome: 'rejected', error: { code: 'rejected', message: 'what is a process?' } })
      const failed = await control.rest.until(session.id, 'failed')
      expect(failed.statusReason).to.equal('rejected')
      expect(failed.statusMessage).to.include('what is a process?')
      expect((await commandsOf(session.id))[0]).to.include({ status: 'dead' })
      const { body } = await control.rest.get('/commands?status=dead')
      expect(body.items.map(({ sessionId }: Json) => sessionId)).to.include(session.id)
    })

    it('of a superseded generation is never sent after one of a higher', async () => {
      const known = await online()
      const { agent } = known
      const { id } = await runningOn(known)
      for (const action of ['stop', 'start', 'stop', 'start', 'stop'])
        expect((await control.rest.post(`/sessions/${id}/${action}`)).status).to.equal(202)
      await eventually(() => expect(agent.of('command').at(-1).generation).to.equal(6))
      const last = agent.of('command').at(-1)
      agent.ack(last)
      agent.result(last, { outcome: 'applied', observed: { status: 'stopped' } })
      await control.rest.until(id, 'stopped')
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
      for (const { id } of sessions) await control.rest.post(`/sessions/${id}/stop`)
      const again = await connect(here, control.url, known)
      await again.begin(sessions.map(({ id }) => ({ sessionId: id, generation: 1, status: 'running' })))
      await again.next('command', 3)
      expect(
        again
          .of('command')
          .slice(0, 3)
          .map(({ sessionId }) => sessionId),
      ).to.deep.equal(sessions.map(({ id }) => id))
    })
  })

  describe('what an agent says of sessions', () => {
    it('of another agent is not taken from it', async () => {
      const mine = await online()
      const theirs = await online()
      const session = await runningOn(theirs)
      mine.agent.status({ sessionId: session.id, generation: 1 }, { status: 'failed', reason: 'exited_early' })
      expect(await mine.agent.next('error')).to.include({ code: 'not_yours' })
      mine.agent.status({ sessionId: STRANGER, generation: 1 }, { status: 'running' })
      expect(await mine.agent.next('error', 2)).to.include({ code: 'not_yours' })
      expect(await control.rest.session(session.id)).to.include({ status: 'running' })
      expect(mine.agent.isOpen()).to.equal(true)
    })

    it('of a generation that nobody asked for is refused; of an earlier one it says nothing', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.status({ sessionId: id, generation: 2 }, { status: 'stopped' })
      expect(await known.agent.next('error')).to.include({ code: 'unexpected_generation' })
      expect(await control.rest.session(id)).to.include({ status: 'running', generation: 1 })

      await control.rest.post(`/sessions/${id}/restart`)
      const command = await known.agent.next('command', 2)
      known.agent.status({ sessionId: id, generation: 1 }, { status: 'failed', reason: 'exited_early' })
      known.agent.ack(command)
      known.agent.result(command, running)
      const after = await control.rest.until(id, 'running')
      expect(after).to.include({ observedGeneration: 2 })
      const { body } = await control.rest.get(`/sessions/${id}/events`)
      expect(body.items.map(({ type }: Json) => type)).not.to.include('failed')
    })

    it('by itself: it ended, with code, signal and what it wrote', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.status(
        { sessionId: id, generation: 1 },
        {
          status: 'failed',
          reason: 'out_of_memory',
          message: 'too much',
          exitCode: null,
          exitSignal: 'SIGKILL',
          lastOutput: 'a\u0000b',
        },
      )
      const failed = await control.rest.until(id, 'failed')
      expect(failed).to.include({
        statusReason: 'out_of_memory',
        exitSignal: 'SIGKILL',
        endpoint: null,
        desiredState: 'running',
      })
      expect(failed.lastOutput, 'what PostgreSQL cannot hold is replaced').to.equal('a\ufffdb')
    })

    it('in an inventory after a connect: what runs is taken over, and its command is done', async () => {
      const known = await enrolled()
      const first = await connect(here, control.url, known)
      await first.begin()
      const session = await sessionOn(known.id)
      first.ack(await first.next('command'))
      // It was done, and the word of it was lost with the socket.
      first.cut()
      const second = await connect(here, control.url, known)
      await second.begin([{ sessionId: session.id, generation: 1, status: 'running', endpoint }])
      expect(await control.rest.until(session.id, 'running')).to.deep.include({ endpoint, observedGeneration: 1 })
      await eventually(async () => expect((await commandsOf(session.id))[0]).to.include({ status: 'done' }))
    })

    it('or leaves out of it: what ran and never restarts was removed from outside', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.cut()
      const again = await connect(here, control.url, known)
      await again.begin([])
      const failed = await control.rest.until(id, 'failed')
      expect(failed).to.include({ statusReason: 'removed_outside', endpoint: null })
      const { body } = await control.rest.get(`/agents/${known.id}`)
      expect(body.allocated.sessions).to.equal(0)
    })

    it('or leaves out of it: what ran and restarts is started again, at a generation of its own', async () => {
      const known = await online()
      const session = await control.rest.create({ template: 'hello-web', agentId: known.id })
      const command = await known.agent.next('command')
      known.agent.ack(command)
      known.agent.result(command, running)
      await control.rest.until(session.id, 'running')
      known.agent.cut()
      const again = await connect(here, control.url, known)
      await again.begin([])
      const repair = await again.next('command')
      expect(repair).to.include({ command: 'start_session', sessionId: session.id, generation: 2 })
      again.ack(repair)
      again.result(repair, running)
      expect(await control.rest.until(session.id, 'running')).to.include({ generation: 2, observedGeneration: 2 })
      const { body } = await control.rest.get(`/sessions/${session.id}/events`)
      expect(body.items.map(({ actor }: Json) => actor)).to.include('reconciler')
    })

    it('at a lower generation than was asked for: it gets the newest command again', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      await control.rest.post(`/sessions/${id}/stop`)
      const stop = await known.agent.next('command', 2)
      known.agent.ack(stop)
      known.agent.cut()
      const again = await connect(here, control.url, known)
      await again.begin([{ sessionId: id, generation: 1, status: 'running', endpoint }])
      const resent = await again.next('command')
      expect(resent).to.include({ commandId: stop.commandId, generation: 2, command: 'stop_session' })
      again.ack(resent)
      again.result(resent, { outcome: 'applied', observed: { status: 'stopped' } })
      await control.rest.until(id, 'stopped')
    })

    it('that the database has never heard of: it is left alone', async () => {
      const known = await enrolled()
      const agent = await connect(here, control.url, known)
      await agent.begin([{ sessionId: STRANGER, generation: 3, status: 'running' }])
      const next = await runningOn({ ...known, agent })
      expect(agent.of('command').map(({ sessionId }) => sessionId)).to.deep.equal([next.id])
    })

    it('of one that was deleted while it was away: it is told to delete it', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.cut()
      expect((await control.rest.ask('DELETE', `/sessions/${id}?force=true`)).status).to.equal(202)
      expect((await control.rest.get(`/sessions/${id}`)).status).to.equal(404)
      const again = await connect(here, control.url, known)
      await again.begin([{ sessionId: id, generation: 1, status: 'running', endpoint }])
      const command = await again.next('command')
      expect(command).to.include({ command: 'delete_session', sessionId: id })
      again.ack(command)
      again.result(command, { outcome: 'applied' })
      await eventually(async () =>
        expect((await control.rest.get(`/agents/${known.id}`)).body.allocated.sessions).to.equal(0),
      )
    })
  })

  describe('silence', () => {
    it('of an agent shows after three intervals, and ends its connection after six', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      const statusOf = async (): Promise<string> => (await control.rest.get(`/agents/${known.id}`)).body.status
      await eventually(async () => expect(await statusOf()).to.equal('degraded'))
      expect((await known.agent.closed(10_000)).code).to.equal(4008)
      await eventually(async () => expect(await statusOf()).to.equal('offline'))
      expect(await control.rest.session(id), 'silence ends nothing').to.include({
        status: 'running',
        agentReachable: false,
      })
    })

    it('of the server is none: it pings, and an agent that beats stays', async () => {
      const known = await online()
      await eventually(
        () => {
          known.agent.heartbeat()
          expect(known.agent.pings()).to.be.at.least(7)
        },
        { within: 12_000 },
      )
      expect(known.agent.isOpen()).to.equal(true)
      expect((await control.rest.get(`/agents/${known.id}`)).body.status).to.equal('online')
    })
  })

  describe('the end of a connection', () => {
    it('comes when its token is rotated, and the old token is none any more', async () => {
      const { id, token, agent } = await online()
      const { status, body } = await control.rest.post(`/agents/${id}/token`)
      expect(status).to.equal(200)
      expect((await agent.closed()).code).to.equal(4004)
      expect((await upgrade(control.url, { token })).status).to.equal(401)
      expect((await upgrade(control.url, { token: body.token })).status).to.equal(101)
    })

    it('comes when the agent is removed', async () => {
      const { id, token, agent } = await online()
      expect((await control.rest.ask('DELETE', `/agents/${id}`)).status).to.equal(204)
      expect((await agent.closed()).code).to.equal(4004)
      expect((await upgrade(control.url, { token })).status).to.equal(401)
    })

    it('a server that stops says bye and when to come back', async () => {
      const last = await server(here, await migratedDatabase(here))
      const token = await enrol(last.rest, 'leaving')
      const agent = await connect(here, last.url, { id: 'leaving', token })
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
