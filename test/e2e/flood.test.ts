/** What one org asks for by the hundred keeps neither other orgs nor agents waiting. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import pg from 'pg'
import { CREATION_READS, SESSION_READS } from '../../src/server-databases.ts'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { connect } from './support/raw-agent.ts'
import { type Json, rest } from './support/rest.ts'
import { type Scene, scene } from './support/scene.ts'
import { migratedDatabase, server } from './support/streamspace.ts'

const FLOOD = 300
const USERS = 40

/** Of the database, past the server, until the test ends. */
const clientOf = async (here: Scene, database: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: database })
  await client.connect()
  here.finally(() => client.end())
  return client
}

type Answered = { readonly status: number; readonly headers: Headers; readonly body: Json }

describe('a flood of batches of one org', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('keeps no other org, no guess at a key and no agent waiting, while none of it goes on', async () => {
    const database = await migratedDatabase(here)
    const control = await server(here, database, { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '1000' })
    const [acme, globex] = await Promise.all(
      ['acme', 'globex'].map(async (org) => rest(control.url, await keyOf(database, 'admin', org))),
    )
    if (acme === undefined || globex === undefined) throw new Error('there are two')
    const enrolled = await control.rest.post('/agents', { id: 'shared-1', platform: 'process', orgId: null })
    const agent = await connect(here, control.url, { id: 'shared-1', token: enrolled.body.token })
    await agent.begin()
    const beating = setInterval(() => agent.heartbeat(), 250)
    here.finally(async () => clearInterval(beating))
    const held = await acme.create({ template: 'hello-web' })
    await globex.create({ template: 'hello-web' })
    await eventually(() => expect(agent.commands()).to.have.length(2))

    // Whatever wants this session waits in the database until the test lets go of it, with the connection that it has.
    const [holder, onlooker] = [await clientOf(here, database), await clientOf(here, database)]
    await holder.query('BEGIN')
    await holder.query('SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE', [held.id])
    let answered: Answered[] = []
    const flood = Array.from({ length: FLOOD }, async () => {
      const ids = [held.id, ...Array.from({ length: 999 }, () => randomUUID())]
      const response = await fetch(`${control.url}/api/v1/sessions/batch`, {
        method: 'POST',
        headers: { authorization: `Bearer ${acme.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ action: 'stop', ids }),
      })
      const { status, headers } = response
      answered.push({ status, headers, body: await response.json() })
    })
    const atWork = async (): Promise<number> =>
      (
        await onlooker.query(`SELECT 1 FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'WITH found (id)%'`)
      ).rows.length
    // What has no room in the queue has been refused by now: the others are inside, or wait to be.
    await eventually(async () => expect(await atWork()).to.be.at.least(1), { within: 20_000 })
    await eventually(() => expect(answered.length).to.be.greaterThan(FLOOD / 2), { within: 20_000 })
    for (const { status, headers, body } of answered) {
      expect(status, JSON.stringify(body)).to.equal(503)
      expect(body.code).to.equal('overloaded')
      expect(headers.get('retry-after')).to.equal('1')
    }

    const heardAt = async (): Promise<number> =>
      Date.parse((await control.rest.get('/agents/shared-1')).body.lastHeartbeatAt)
    const before = await heardAt()
    const guesses = Array.from({ length: 50 }, () => rest(control.url, `ssk_${randomUUID().replaceAll('-', '')}`))
    const asked = [
      ...Array.from({ length: 50 }, () => globex.get('/sessions?limit=50')),
      ...guesses.map((guess) => guess.get('/sessions')),
      ...Array.from({ length: 10 }, () => globex.post('/sessions', { template: 'hello-web' })),
      acme.get('/sessions'),
    ]
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    expect(statuses).to.deep.equal([...Array(50).fill(200), ...Array(50).fill(401), ...Array(10).fill(201), 200])
    await eventually(() => expect(agent.commands()).to.have.length(12))
    await eventually(async () => expect(await heardAt()).to.be.greaterThan(before))
    expect((await control.rest.get('/agents/shared-1')).body.status).to.equal('online')

    // All of that while the flood stood still.
    expect(answered.every(({ status }) => status === 503)).to.equal(true)
    expect(await atWork()).to.equal(1)
    answered = []
    await holder.query('ROLLBACK')
    await Promise.all(flood)
    expect(answered.some(({ status }) => status === 200)).to.equal(true)
    expect((await acme.session(held.id)).desiredState).to.equal('stopped')
  })
})

describe('many users of one org', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('keep no other org waiting, while what each of them reads and creates stands still', async () => {
    const database = await migratedDatabase(here)
    const control = await server(here, database)
    const users = await Promise.all(
      Array.from({ length: USERS }, (_, at) => keyOf(database, 'user', 'acme', `user-${at}`)),
    ).then((keys) => keys.map((key) => rest(control.url, key)))
    const acme = rest(control.url, await keyOf(database, 'admin', 'acme'))
    const globex = rest(control.url, await keyOf(database, 'admin', 'globex'))
    const [holder, onlooker] = [await clientOf(here, database), await clientOf(here, database)]
    await holder.query('BEGIN; LOCK TABLE sessions, templates')
    const flood = users.flatMap((user, at) => [
      user.get(`/sessions/${randomUUID()}`),
      user.post('/sessions', { template: `none-${at}` }),
      user.post('/sessions', { template: `none-${at}` }, { 'Idempotency-Key': `key-${at}` }),
    ])
    const waiting = async (): Promise<number> =>
      (
        await onlooker.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
              AND query ~ 'get_sessions|unnest|FROM templates'`,
        )
      ).rows.length
    const mostOfOne = SESSION_READS.mostOfOne + CREATION_READS.mostOfOne
    await eventually(async () => expect(await waiting()).to.be.within(2, mostOfOne))
    // Changes have places of their own, and wait for none of these reads.
    const changes = Array.from({ length: 8 }, (_, at) =>
      acme.post(`/webhooks/${randomUUID()}/rotate`, {}, { 'Idempotency-Key': `change-${at}` }),
    )
    const others = Array.from({ length: 20 }, () => [globex.get('/webhooks'), globex.get('/agents')]).flat()
    const answers = await Promise.all([...changes, ...others])
    expect(answers.map(({ status }) => status)).to.deep.equal([...Array(8).fill(404), ...Array(40).fill(200)])
    expect(await waiting()).to.be.within(2, mostOfOne)
    await holder.query('ROLLBACK')
    const statuses = (await Promise.all(flood)).map(({ status }) => status)
    expect(statuses).to.deep.equal(users.flatMap(() => [404, 422, 422]))
  })
})
