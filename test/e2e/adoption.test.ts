/**
 * A database put back from an older copy has forgotten sessions that go on running. An operator says whose they are, and
 * they are sessions again; what nobody wants is removed.
 */
import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'chai'
import pg from 'pg'
import { portToKeep } from '../support/ports.ts'
import { testServerUrl } from '../support/postgres.ts'
import { eventually } from './support/eventually.ts'
import { isAlive, pidOfSession } from './support/processes.ts'
import { type Json, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { ADMIN_KEY, agent, migratedDatabase, type Server, server, streamspace } from './support/streamspace.ts'
import { idle, putTemplate } from './support/templates.ts'
import { visit } from './support/visit.ts'

const QUICK = {
  STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500',
  STREAMSPACE_INVENTORY_INTERVAL_MS: '500',
  STREAMSPACE_ORPHAN_GRACE_MS: '200',
}

describe('sessions that a restored database has forgotten', function () {
  this.timeout(300_000)
  const here = scene('suite')

  const inDatabase = async (
    url: string,
    ...statements: readonly (readonly [string, ...unknown[]])[]
  ): Promise<void> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      for (const [text, ...values] of statements) await client.query(text, values)
    } finally {
      await client.end()
    }
  }

  /** The database as it is now, apart from the one that goes on. Nobody may be connected to it. */
  const copyOf = async (databaseUrl: string): Promise<string> => {
    const name = `copy_${randomUUID().replaceAll('-', '')}`
    const original = new URL(databaseUrl).pathname.slice(1)
    const admin = await testServerUrl()
    // Connections that the server has just closed take a moment to be gone.
    await eventually(() => inDatabase(admin, [`CREATE DATABASE ${name} TEMPLATE ${original}`]))
    here.finally(() => inDatabase(admin, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]))
    const url = new URL(databaseUrl)
    url.pathname = `/${name}`
    return url.href
  }

  /** A key of a user of Acme, as someone with rights in the database would make it. */
  const keyOfAda = async (databaseUrl: string): Promise<string> => {
    const key = `ssk_${createHash('sha256').update(randomUUID()).digest('hex')}`
    await inDatabase(
      databaseUrl,
      [`INSERT INTO orgs (id, name) VALUES ('acme', 'Acme')`],
      [
        `INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash) VALUES ($1, 'acme', 'ada', 'user', 'test', $2, $3)`,
        randomUUID(),
        key.slice(0, 12),
        createHash('sha256').update(key).digest(),
      ],
    )
    return key
  }

  const stopped = async ({ program }: Server): Promise<void> => {
    program.signal('SIGTERM')
    expect((await program.end()).code).to.equal(0)
  }

  it('are adopted as they run, and from then on like any other; the rest is removed', async () => {
    const original = await migratedDatabase(here)
    const samePort = { ...QUICK, PORT: await portToKeep() }
    const first = await server(here, original, samePort)
    await putTemplate(first.rest, { ...idle, orgId: null })
    const ada: Rest = rest(first.url, await keyOfAda(original))
    const enrolled = await first.rest.post('/agents', { id: 'shared-1', platform: 'process', orgId: null })
    agent(here, {
      id: 'shared-1',
      token: enrolled.body.token,
      url: first.url,
      dataDir: join(await here.folder(), 'agent'),
    })
    const running = async (request: object): Promise<Json> => ada.until((await ada.create(request)).id, 'running')
    // More of its own than is lost, so that the brake does not keep what nobody adopts.
    for (let n = 0; n < 3; n += 1) await running({ template: 'idle' })
    await stopped(first)
    const older = await copyOf(original)

    const second = await server(here, original, samePort)
    const begun = await running({ template: 'hello-web', parameters: { title: 'Before' } })
    // So that the agent knows a restart of which the restored database knows nothing either.
    expect((await ada.post(`/sessions/${begun.id}/restart`)).status).to.equal(202)
    const lost = await ada.until(begun.id, 'running')
    expect(lost.generation).to.equal(2)
    const litter = await running({ template: 'idle' })
    const pids = { lost: await pidOfSession(lost.id), litter: await pidOfSession(litter.id) }
    await stopped(second)

    const third = await server(here, older, samePort)
    const orphans = async (state: string): Promise<readonly string[]> =>
      (await third.rest.all(`/agents/shared-1/orphans?state=${state}`)).map(({ sessionId }) => sessionId).toSorted()
    await eventually(async () => expect(await orphans('seen')).to.deep.equal([lost.id, litter.id].toSorted()))
    expect((await third.rest.get('/orphan-removal')).body).to.include({ halted: true, haltedBy: 'shared-1' })
    expect((await ada.get(`/sessions/${lost.id}`)).status).to.equal(404)

    const said = [
      '--org',
      'acme',
      '--user',
      'ada',
      '--template',
      'hello-web',
      '--name',
      'back',
      '--param',
      'title=After',
    ]
    const adopting = streamspace(here, ['agent', 'adopt', 'shared-1', lost.id, ...said, '--json'], {
      STREAMSPACE_URL: third.url,
      STREAMSPACE_API_KEY: ADMIN_KEY,
    })
    expect(await adopting.end(), adopting.stderr()).to.include({ code: 0 })
    expect(JSON.parse(adopting.stdout())).to.include({
      id: lost.id,
      orgId: 'acme',
      userId: 'ada',
      name: 'back',
      status: 'running',
      generation: lost.generation,
    })
    const again = await third.rest.post(`/agents/shared-1/orphans/${lost.id}/adopt`, {
      orgId: 'acme',
      userId: 'eve',
      template: 'hello-web',
    })
    expect([again.status, again.body.code]).to.deep.equal([409, 'orphan_not_adoptable'])
    expect(await orphans('adopted')).to.deep.equal([lost.id])

    // The inventory that is asked for then says where it is.
    await eventually(async () => expect((await ada.session(lost.id)).endpoint).to.deep.equal(lost.endpoint))
    const back = await ada.session(lost.id)
    expect(back).to.include({ status: 'running', statusReason: 'restored', agentReachable: true, userId: 'ada' })
    expect(back.generation).to.equal(lost.generation)
    expect((await visit(back.endpoint.url)).html).to.contain('Before')
    expect(await pidOfSession(lost.id)).to.equal(pids.lost)

    // Removal goes on: of what nobody has adopted.
    expect((await third.rest.post('/orphan-removal/resume')).body).to.include({ halted: false })
    // An inventory that was under way when it ended may still have it.
    await eventually(async () => {
      expect(await orphans('removed')).to.deep.equal([litter.id])
      expect(await orphans('seen,approved,removing')).to.deep.equal([])
    })
    expect(isAlive(pids.litter)).to.equal(false)
    expect(await pidOfSession(lost.id)).to.equal(pids.lost)

    // A restart is one that the agent has not made yet, from what the operator said of it.
    expect((await ada.post(`/sessions/${lost.id}/restart`)).status).to.equal(202)
    await eventually(async () => expect(await pidOfSession(lost.id)).to.not.equal(pids.lost))
    const restarted = await ada.until(lost.id, 'running')
    expect(restarted.generation).to.equal(lost.generation + 1)
    expect((await visit(restarted.endpoint.url)).html).to.contain('After')

    const { allocated } = (await third.rest.get('/agents/shared-1')).body
    expect(allocated.sessions).to.equal(4)
    expect((await ada.post(`/sessions/${lost.id}/stop`)).status).to.equal(202)
    await ada.until(lost.id, 'stopped')
    expect(isAlive(pids.lost)).to.equal(false)
    expect((await third.rest.get('/agents/shared-1')).body.allocated.sessions).to.equal(3)
    const { body: commands } = await third.rest.get(`/sessions/${lost.id}/commands`, { 'streamspace-org': 'acme' })
    expect(commands.items.map(({ type }: Json) => type)).to.have.members(['start_session', 'stop_session'])
    const events = await third.rest.all('/agents/shared-1/events')
    expect(
      events.filter(({ type }) => type === 'orphan_adopted').map(({ actor, data }) => [actor, data]),
    ).to.deep.equal([
      [
        'user:admin',
        { sessionId: lost.id, generation: lost.generation, orgId: 'acme', userId: 'ada', template: 'hello-web' },
      ],
    ])
  })
})
