/** Many sessions at once over HTTP: a thousand through kill -9, and whose they are. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { connect } from './support/raw-agent.ts'
import { type Answer, type Json, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

const PLENTY = { maxSessions: 10_000, cpuMillis: 10_000_000, memoryMib: 10_000_000 }

describe('a batch over HTTP', function () {
  this.timeout(180_000)
  const here = scene('each')

  const many = async (api: Rest, count: number, request: object): Promise<readonly Json[]> => {
    const made: Json[] = []
    while (made.length < count)
      made.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(50, count - made.length) }, () =>
            api.create({ template: 'hello-web', ...request }),
          ),
        )),
      )
    return made
  }

  it('of a thousand, asked again after each kill -9, is done once and answered for each', async () => {
    const database = await migratedDatabase(here)
    let control: Server = await server(here, database)
    const token = await enrol(control.rest, 'edge-1')
    const silent = await connect(here, control.url, { id: 'edge-1', token })
    await silent.begin([], { capacity: PLENTY })
    // To make a thousand may take longer than an agent may say nothing at all.
    const beating = setInterval(() => silent.heartbeat(), 5_000)
    here.finally(async () => clearInterval(beating))
    await many(control.rest, 1_000, { labels: { team: 'web' } })
    await many(control.rest, 10, { labels: { team: 'ops' } })

    const key = randomUUID()
    const body = { action: 'stop', filter: { label: 'team=web', status: ['scheduling'] }, expectedCount: 1_000 }
    const ask = (): Promise<Answer> =>
      control.rest.ask('POST', '/sessions/batch', { body, headers: { 'idempotency-key': key } })
    // Sooner and later: before it is committed, while it is, and before it is answered.
    for (const afterMs of [20, 120, 250, 400]) {
      const asked = ask().catch(() => null)
      await new Promise((resolve) => setTimeout(resolve, afterMs))
      control.program.signal('SIGKILL')
      await asked
      await control.program.end()
      control = await server(here, database)
    }
    // What is stopped is not found by the filter any more: without what was kept, this would be another count.
    const answer = await eventually(async () => {
      const one = await ask()
      expect(one.status, JSON.stringify(one.body).slice(0, 500)).to.equal(200)
      return one
    })
    expect(answer.body.items).to.have.length(1_000)
    for (const { status, session } of answer.body.items) {
      expect(status).to.equal(202)
      expect(session).to.include({ status: 'stopping', generation: 2 })
    }
    const sessions = await control.rest.all('/sessions?limit=500')
    expect(sessions.filter(({ desiredState }) => desiredState === 'stopped')).to.have.length(1_000)
    expect(sessions.filter(({ labels }) => labels.team === 'ops').every(({ generation }) => generation === 1)).to.equal(
      true,
    )
    const commands = await control.rest.all('/commands?limit=500')
    const stops = commands.filter(({ type }) => type === 'stop_session')
    expect(stops).to.have.length(1_000)
    expect(new Set(stops.map(({ sessionId }) => sessionId)).size).to.equal(1_000)
    const again = await ask()
    expect(again.headers.get('idempotency-replayed')).to.equal('true')
    expect(again.body).to.deep.equal(answer.body)
  })

  it('reaches only what is one’s own, says so of each, and is refused where it cannot be meant', async () => {
    const database = await migratedDatabase(here)
    const { rest: admin, url } = await server(here, database)
    await enrol(admin, 'edge-1')
    const user = rest(url, await keyOf(database, 'user'))
    const elsewhere = rest(url, await keyOf(database, 'admin', 'globex'))
    const [mine] = await many(user, 1, { labels: { team: 'web' } })
    const [others] = await many(admin, 1, { labels: { team: 'web' } })
    const foreign = randomUUID()
    const batch = (api: Rest, body: object): Promise<Answer> => api.post('/sessions/batch', body)

    const asked = await batch(user, { action: 'delete', ids: [others.id, mine.id, foreign] })
    expect(asked.status).to.equal(200)
    const [theirs, own, none] = asked.body.items
    expect(own).to.deep.include({ id: mine.id, status: 202 })
    for (const one of [theirs, none]) {
      expect(one.status).to.equal(404)
      expect(one.problem).to.deep.include({ code: 'not_found', status: 404 })
      expect(JSON.stringify(one.problem).replaceAll(one.id, 'ID')).to.equal(
        JSON.stringify(theirs.problem).replaceAll(theirs.id, 'ID'),
      )
    }
    const all = { action: 'stop', filter: {}, expectedCount: 1 }
    expect((await batch(user, all)).body).to.deep.include({ code: 'unexpected_count', counted: 0, expected: 1 })
    expect((await batch(elsewhere, all)).body).to.deep.include({ counted: 0 })
    expect((await batch(admin, { ...all, expectedCount: 2 })).status).to.equal(409)
    expect((await admin.session(others.id)).generation).to.equal(1)
    expect((await batch(admin, all)).body.items).to.have.length(1)

    const ids = Array.from({ length: 1_001 }, () => randomUUID())
    expect((await batch(admin, { action: 'stop', ids })).body).to.deep.include({
      status: 422,
      code: 'batch_too_large',
      limit: 1_000,
      counted: 1_001,
    })
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ action: 'stop' }, /^ids must be given, or filter/],
      [{ action: 'stop', ids: [mine.id], filter: {}, expectedCount: 1 }, /^filter must not be given with ids/],
      [{ action: 'stop', filter: {} }, /expectedCount/],
      [{ action: 'start', ids: [mine.id] }, /action must be one of: stop, delete, hibernate/],
      [{ action: 'stop', ids: ['nonsense'] }, /ids\[0\] must be a UUID/],
      [{ action: 'stop', ids: [] }, /at least 1/],
      [{ action: 'stop', filter: { colour: 'red' }, expectedCount: 1 }, /filter.colour is not a known parameter/],
      [{ action: 'stop', filter: { status: 'asleep' }, expectedCount: 1 }, /filter.status/],
      [{ action: 'stop', filter: { q: 7 }, expectedCount: 1 }, /filter.q must be text/],
      [{ action: 'stop', filter: { __proto__: { q: 'x' }, user: [] }, expectedCount: 1 }, /filter.user/],
    ]
    for (const [body, complaint] of wrong) {
      const answer = await batch(admin, body)
      expect(answer.status, JSON.stringify(body)).to.equal(400)
      expect(answer.body.detail).to.match(complaint)
    }
  })
})

describe('a plan', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('says where a session goes, and the session that waits says why it does', async () => {
    const database = await migratedDatabase(here)
    const { rest: admin, url } = await server(here, database)
    const agents = ['small', 'large']
    for (const [index, id] of agents.entries()) {
      const { body } = await admin.post('/agents', { id, platform: 'process', labels: { size: id } })
      const agent = await connect(here, url, { id, token: body.token })
      await agent.begin([], { capacity: { ...PLENTY, maxSessions: 2 + index } })
    }
    const plan = async (request: object = {}): Promise<Json> => {
      const { status, body } = await admin.post('/sessions/plan', { template: 'hello-web', ...request })
      expect(status, JSON.stringify(body)).to.equal(200)
      return body
    }
    const before = (await admin.get('/sessions/summary')).body.total
    expect(await plan()).to.deep.include({ agentId: 'large', status: 'scheduling', strategy: 'spread', refused: 1 })
    expect((await plan()).refusals[0]).to.deep.include({ agentId: 'small', reason: 'not_preferred' })
    expect((await plan({ agentLabels: { size: 'small' } })).refusals[0]).to.deep.equal({
      agentId: 'large',
      reason: 'other_labels',
      detail: 'has size=large; size=small was asked for',
    })
    expect((await admin.get('/sessions/summary')).body.total).to.equal(before)
    const refused = await admin.post('/sessions/plan', { template: 'hello-web', agentLabels: { size: 'huge' } })
    expect(refused.body).to.deep.include({ status: 422, code: 'no_agent' })
    expect(refused.body.refusals).to.have.length(2)
    expect((await admin.post('/sessions/plan', { template: 'nothing' })).body.code).to.equal('unknown_template')

    // Packed, by its template: one is filled, and then the other.
    const packed = {
      name: 'packed',
      displayName: 'Packed',
      spec: { process: { command: ['true'] } },
      placement: { strategy: 'pack', agentLabels: {} },
    }
    expect((await admin.post('/templates', packed)).status).to.equal(201)
    expect((await admin.get('/templates/packed')).body.placement).to.deep.equal(packed.placement)
    const went: string[] = []
    for (let made = 0; made < 5; made += 1) went.push((await admin.create({ template: 'packed' })).agentId)
    expect([went.filter((id) => id === 'small').length, went.filter((id) => id === 'large').length]).to.deep.equal([
      2, 3,
    ])
    expect(new Set(went.slice(0, 2)).size).to.equal(1)

    // Both are full by now.
    expect(await plan()).to.deep.include({ agentId: null, status: 'pending', statusReason: 'no_capacity', refused: 2 })
    const waiting = await admin.create({ template: 'hello-web' })
    for (const one of [waiting, await admin.session(waiting.id)]) {
      expect(one).to.deep.include({ status: 'pending', statusReason: 'no_capacity' })
      expect(
        one.refusals.map(({ agentId, reason, detail }: Json) => [agentId, reason, detail]).toSorted(),
      ).to.deep.equal([
        ['large', 'no_capacity', 'holds 3 of 3 sessions'],
        ['small', 'no_capacity', 'holds 2 of 2 sessions'],
      ])
    }
    expect((await admin.post(`/sessions/${waiting.id}/stop`)).body.refusals).to.deep.equal([])
  })
})
