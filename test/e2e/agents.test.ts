/** Agents as processes of their own: enrolled over REST, with tokens that end, several of them, and cordoned. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { scene } from './support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server, streamspace } from './support/streamspace.ts'
import { idle, putTemplate } from './support/templates.ts'

describe('agents', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let folder: string

  before(async () => {
    control = await server(here, await migratedDatabase(here))
    await putTemplate(control.rest, idle)
    folder = await here.folder()
  })

  const until = (id: string, status: string): Promise<void> =>
    eventually(async () => {
      expect((await control.rest.get(`/agents/${id}`)).body.status).to.equal(status)
    })

  it('an agent is enrolled, its token shown once, and connects with the token from a file', async () => {
    const { status, headers, body } = await control.rest.post('/agents', {
      id: 'from-file',
      platform: 'process',
      region: 'attic',
      labels: { floor: '3' },
    })
    expect(status).to.equal(201)
    expect(headers.get('location')).to.equal('/api/v1/agents/from-file')
    expect(body.token).to.match(/^ssa_[A-Za-z0-9_-]{32,}$/)
    expect(body).to.include({ id: 'from-file', platform: 'process', status: 'offline', capacity: null })
    expect(JSON.stringify((await control.rest.get('/agents')).body)).not.to.include(body.token)

    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, `${body.token}\n`, { mode: 0o600 })
    const program = streamspace(here, ['agent', 'process'], {
      STREAMSPACE_URL: control.url,
      STREAMSPACE_AGENT_ID: 'from-file',
      STREAMSPACE_AGENT_TOKEN_FILE: tokenFile,
      STREAMSPACE_DATA_DIR: join(folder, 'from-file'),
      STREAMSPACE_MAX_SESSIONS: '7',
    })
    await until('from-file', 'online')
    const { body: known } = await control.rest.get('/agents/from-file')
    expect(known.capacity.maxSessions).to.equal(7)
    expect(known.epoch).to.equal(1)
    expect(known.version).to.be.a('string')
    const { id } = await control.rest.create({ template: 'idle', agentId: 'from-file' })
    expect(await control.rest.until(id, 'running')).to.include({ agentId: 'from-file', agentReachable: true })
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id)
    program.signal('SIGTERM')
    expect(await program.end()).to.deep.equal({ code: 0, signal: null })
    await until('from-file', 'offline')
    expect((await control.rest.ask('DELETE', '/agents/from-file')).status).to.equal(204)
    expect((await control.rest.get('/agents/from-file')).status).to.equal(404)
  })

  it('a rotated token ends the connection that used the old one; the agent is back with the new one', async () => {
    const token = await enrol(control.rest, 'rotated')
    const start = (with_: string) =>
      agent(
        here,
        { id: 'rotated', token: with_, url: control.url, dataDir: join(folder, 'rotated') },
        { LOG_LEVEL: 'info' },
      )
    const old = start(token)
    await until('rotated', 'online')
    const { id } = await control.rest.create({ template: 'idle', agentId: 'rotated' })
    await control.rest.until(id, 'running')

    const { status, body } = await control.rest.post('/agents/rotated/token')
    expect(status).to.equal(200)
    expect(body.token).to.match(/^ssa_/).and.not.to.equal(token)
    await until('rotated', 'offline')
    // It goes on trying, and is told each time.
    await eventually(() => expect(old.stdout()).to.match(/"status":401|401/))
    expect((await control.rest.get('/agents/rotated')).body.status).to.equal('offline')
    expect(await control.rest.session(id)).to.include({ status: 'running', agentReachable: false })
    old.signal('SIGTERM')
    expect(await old.end()).to.deep.equal({ code: 0, signal: null })

    const renewed = start(body.token)
    await until('rotated', 'online')
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id)
    renewed.signal('SIGTERM')
    await renewed.end()
  })

  it('two agents share the sessions; a cordoned one gets no more and keeps what it has', async () => {
    const programs = await Promise.all(
      ['left', 'right'].map(async (id) =>
        agent(
          here,
          { id, token: await enrol(control.rest, id), url: control.url, dataDir: join(folder, id) },
          { STREAMSPACE_MAX_SESSIONS: '8' },
        ),
      ),
    )
    await until('left', 'online')
    await until('right', 'online')
    const placed = async (count: number): Promise<string[]> => {
      const created = await Promise.all(Array.from({ length: count }, () => control.rest.create({ template: 'idle' })))
      return Promise.all(created.map(async ({ id }) => (await control.rest.until(id, 'running')).agentId))
    }
    const spread = await placed(4)
    expect([...new Set(spread)].sort(), 'spread').to.deep.equal(['left', 'right'])

    const { status, body } = await control.rest.post('/agents/left/cordon')
    expect([status, body.cordoned]).to.deep.equal([200, true])
    expect(await placed(2)).to.deep.equal(['right', 'right'])
    const [onLeft] = (await control.rest.get('/sessions?agent=left')).body.items
    expect(onLeft.status).to.equal('running')
    // Its home is there, and its agent takes nothing now.
    await control.rest.post(`/sessions/${onLeft.id}/stop`)
    await control.rest.until(onLeft.id, 'stopped')
    await control.rest.post(`/sessions/${onLeft.id}/start`)
    expect(await control.rest.session(onLeft.id)).to.include({ status: 'pending', statusReason: 'agent_cordoned' })

    await control.rest.post('/agents/left/uncordon')
    expect(await control.rest.until(onLeft.id, 'running')).to.include({ agentId: 'left' })
    for (const { id } of await control.rest.all('/sessions')) {
      await control.rest.ask('DELETE', `/sessions/${id}`)
      await control.rest.gone(id)
    }
    for (const id of ['left', 'right'])
      await eventually(async () =>
        expect((await control.rest.get(`/agents/${id}`)).body.allocated).to.deep.equal({
          sessions: 0,
          cpuMillis: 0,
          memoryMib: 0,
        }),
      )
    for (const program of programs) program.signal('SIGTERM')
    for (const program of programs) await program.end()
  })

  it('many sessions at once never overbook an agent', async () => {
    const token = await enrol(control.rest, 'small')
    agent(
      here,
      { id: 'small', token, url: control.url, dataDir: join(folder, 'small') },
      { STREAMSPACE_MAX_SESSIONS: '5' },
    )
    await until('small', 'online')
    const created = await Promise.all(
      Array.from({ length: 20 }, () => control.rest.create({ template: 'idle', agentId: 'small' })),
    )
    const placed = created.filter(({ status }) => status !== 'pending')
    expect(placed).to.have.lengthOf(5)
    for (const { status, statusReason } of created)
      if (status === 'pending') expect(statusReason).to.equal('no_capacity')
    const { body } = await control.rest.get('/agents/small')
    expect(body.allocated.sessions).to.equal(5)
    // All get their turn.
    const waiting = new Set(created.map(({ id }) => id))
    await eventually(async () => {
      for (const { id, status } of await control.rest.all('/sessions?agent=small&limit=500'))
        if (status === 'running') {
          await control.rest.ask('DELETE', `/sessions/${id}`)
          waiting.delete(id)
        }
      expect((await control.rest.get('/agents/small')).body.allocated.sessions).to.be.at.most(5)
      expect(waiting.size).to.equal(0)
    })
  })
})
