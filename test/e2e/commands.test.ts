/** What an operator does about commands that did not arrive, over REST and with the command line. */
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { connect, endpoint } from './support/raw-agent.ts'
import { type Json, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { ADMIN_KEY, enrol, migratedDatabase, type Server, server, streamspace } from './support/streamspace.ts'
import { idle, putTemplate } from './support/templates.ts'

const running = { outcome: 'applied', observed: { status: 'running', endpoint } }
const NO_SUCH_ID = '01890a5d-ac96-774b-bcce-b30209900000'

describe('commands in an operator’s hands', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let databaseUrl: string

  before(async () => {
    databaseUrl = await migratedDatabase(here)
    control = await server(here, databaseUrl, { STREAMSPACE_COMMAND_TTL_MS: '3000', STREAMSPACE_ACK_TIMEOUT_MS: '300' })
    await putTemplate(control.rest, idle)
  })

  const commandOf = async (session: Json): Promise<Json> =>
    (await control.rest.get(`/sessions/${session.id}/commands`)).body.items.at(-1)

  /** A session whose start was never acknowledged, by an agent that is not there any more. */
  const expired = async (id: string) => {
    const token = await enrol(control.rest, id)
    const agent = await connect(here, control.url, { id, token })
    await agent.begin()
    const session = await control.rest.create({ template: 'idle', agentId: id })
    await agent.command()
    agent.cut()
    const failed = await control.rest.until(session.id, 'failed')
    expect(failed.statusReason).to.equal('delivery_failed')
    return { session: failed, command: await commandOf(session), who: { id, token } }
  }

  it('an expired one is redriven: the same command arrives, and the session runs at its generation', async () => {
    const { session, command, who } = await expired('redriven')
    expect(command).to.include({ status: 'expired', type: 'start_session' })
    const agent = await connect(here, control.url, who)
    await agent.begin()
    const redriven = await control.rest.post(`/commands/${command.id}/redrive`)
    expect(redriven.status, JSON.stringify(redriven.body)).to.equal(202)
    expect(redriven.body).to.include({ id: command.id, status: 'pending', generation: 1, finishedAt: null })
    const sent = await agent.command()
    expect(sent).to.include({ commandId: command.id, generation: 1 })
    agent.ack(sent)
    agent.result(sent, running)
    expect(await control.rest.until(session.id, 'running')).to.include({ generation: 1, version: session.version })
    expect((await control.rest.get(`/commands/${command.id}`)).body.status).to.equal('done')
    const again = await control.rest.post(`/commands/${command.id}/redrive`)
    expect([again.status, again.body.code, again.body.state]).to.deep.equal([409, 'command_not_redrivable', 'done'])
    const events = await control.rest.all(`/sessions/${session.id}/events`)
    expect(events.find(({ type }) => type === 'command_redriven')).to.deep.include({ actor: 'user:admin' })
  })

  it('one that is not the newest of its session any more is refused, and says so', async () => {
    const { session, command } = await expired('outdated')
    await control.rest.post(`/sessions/${session.id}/stop`)
    const refused = await control.rest.post(`/commands/${command.id}/redrive`)
    expect(refused.status).to.equal(409)
    expect(refused.body).to.include({ code: 'command_outdated', generation: 1, sessionGeneration: 2 })
  })

  it('one whose agent is cordoned by now has no capacity to be had', async () => {
    const { session, command, who } = await expired('cordoned')
    const agent = await connect(here, control.url, who)
    // Nothing is left of it there: what it held is given back.
    await agent.begin()
    await eventually(async () => {
      const { body } = await control.rest.get(`/agents/${who.id}`)
      expect(body.allocated.sessions).to.equal(0)
    })
    await control.rest.post(`/agents/${who.id}/cordon`)
    const refused = await control.rest.post(`/commands/${command.id}/redrive`)
    expect([refused.status, refused.body.code]).to.deep.equal([409, 'no_capacity'])
    expect(refused.body.detail).to.contain('cordoned')
    expect(await control.rest.session(session.id)).to.include({ status: 'failed', statusReason: 'delivery_failed' })
    await control.rest.post(`/agents/${who.id}/uncordon`)
    expect((await control.rest.post(`/commands/${command.id}/redrive`)).status).to.equal(202)
    expect((await control.rest.get(`/agents/${who.id}`)).body.allocated.sessions).to.equal(1)
    agent.cut()
  })

  it('a pending one is cancelled: it is sent to nobody, and its session waits no longer', async () => {
    const { session, who } = await expired('cancelled')
    await control.rest.post(`/sessions/${session.id}/stop`)
    const stop = await commandOf(session)
    expect(stop).to.include({ type: 'stop_session', status: 'pending' })
    const cancelled = await control.rest.post(`/commands/${stop.id}/cancel`)
    expect([cancelled.status, cancelled.body.status]).to.deep.equal([202, 'cancelled'])
    const failed = await control.rest.session(session.id)
    expect(failed).to.include({
      status: 'failed',
      statusReason: 'delivery_failed',
      deadline: null,
      desiredState: 'stopped',
    })
    expect(failed.statusMessage).to.contain('cancelled by user:admin')

    const agent = await connect(here, control.url, who)
    await agent.begin()
    const other = await control.rest.create({ template: 'idle', agentId: who.id })
    await eventually(() => expect(agent.commands().map(({ sessionId }) => sessionId)).to.deep.equal([other.id]))
    const twice = await control.rest.post(`/commands/${stop.id}/cancel`)
    expect([twice.status, twice.body.code, twice.body.state]).to.deep.equal([
      409,
      'command_not_cancellable',
      'cancelled',
    ])
    // Asking for the state itself acts anew.
    expect((await control.rest.post(`/sessions/${session.id}/stop`)).body).to.include({
      status: 'stopping',
      generation: 3,
    })
  })

  it('a deletion that is cancelled can be asked for again, and ends when nothing is left', async () => {
    const { session, who } = await expired('deleted')
    await control.rest.ask('DELETE', `/sessions/${session.id}`)
    const cancelled = await control.rest.post(`/commands/${(await commandOf(session)).id}/cancel`)
    expect(cancelled.status).to.equal(202)
    expect(await control.rest.session(session.id)).to.include({ status: 'deleting', statusReason: 'delivery_failed' })
    const agent = await connect(here, control.url, who)
    await agent.begin()
    await control.rest.gone(session.id)
  })

  it('they are for operators; for other orgs they are not there', async () => {
    const { command } = await expired('roles')
    const of = (key: string) => rest(control.url, key)
    const [viewer, operator, stranger] = [
      of(await keyOf(databaseUrl, 'viewer')),
      of(await keyOf(databaseUrl, 'operator')),
      of(await keyOf(databaseUrl, 'admin', 'globex')),
    ]
    for (const operation of ['redrive', 'cancel']) {
      const path = `/commands/${command.id}/${operation}`
      const answers = [
        await viewer.post(path),
        await stranger.post(path),
        await viewer.post(`/commands/${NO_SUCH_ID}/${operation}`),
      ]
      expect(
        answers.map(({ status }) => status),
        operation,
      ).to.deep.equal([403, 404, 404])
    }
    expect((await viewer.get(`/commands/${command.id}`)).body.id).to.equal(command.id)
    expect((await stranger.get(`/commands/${command.id}`)).status).to.equal(404)
    expect((await operator.post(`/commands/${command.id}/redrive`)).status).to.equal(202)
    for (const path of ['/jobs', '/jobs/duty.sweep', '/jobs/no.such.queue'])
      expect((await operator.get(path)).status, path).to.equal(403)
  })

  it('and with the command line, which shows the jobs behind it all too', async () => {
    const { session, command } = await expired('by-cli')
    const cli = async (...args: string[]) => {
      const program = streamspace(here, args, { STREAMSPACE_URL: control.url, STREAMSPACE_API_KEY: ADMIN_KEY })
      await program.end(30_000)
      return program.stdout()
    }
    expect(await cli('command', 'redrive', command.id)).to.match(/is pending\n$/)
    await control.rest.post(`/sessions/${session.id}/stop`)
    expect(await cli('command', 'cancel', (await commandOf(session)).id)).to.match(/is cancelled\n$/)
    expect(await cli('job', 'list'))
      .to.match(/duty\.deadlines/)
      .and.to.match(/outbox\.drain\./)
    const jobs = await control.rest.get('/jobs/duty.sweep?state=completed&limit=1')
    expect(jobs.body.items[0].output).to.have.property('givenUp')
    expect((await control.rest.post(`/jobs/duty.sweep/${NO_SUCH_ID}/retry`)).status).to.equal(404)
    const notFailed = await control.rest.post(`/jobs/duty.sweep/${jobs.body.items[0].id}/retry`)
    expect([notFailed.status, notFailed.body.code]).to.deep.equal([409, 'job_not_failed'])
  })
})
