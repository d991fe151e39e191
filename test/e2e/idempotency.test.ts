/** The same request, asked again: at once by a thousand, and after the server was killed before it could answer. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { type Answer, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

describe('a request that is made again', function () {
  this.timeout(120_000)
  const here = scene('each')

  const keyed = (api: Rest, key: string, method: string, path: string, body?: object): Promise<Answer> =>
    api.ask(method, path, { headers: { 'idempotency-key': key }, ...(body === undefined ? {} : { body }) })

  /** Until there is an answer that is no request to come again. */
  const answered = async (ask: () => Promise<Answer>): Promise<Answer> =>
    eventually(async () => {
      const answer = await ask()
      expect(answer.status, JSON.stringify(answer.body)).not.to.equal(503)
      return answer
    })

  it('by a thousand at once makes one session', async () => {
    const database = await migratedDatabase(here)
    const [one, other] = [await server(here, database), await server(here, database)]
    await enrol(one.rest, 'edge-1')
    const key = randomUUID()
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) =>
        answered(() =>
          keyed((index % 2 === 0 ? one : other).rest, key, 'POST', '/sessions', {
            template: 'hello-web',
            name: 'once',
          }),
        ),
      ),
    )
    expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([201]))
    expect(new Set(answers.map(({ body }) => body.id)).size).to.equal(1)
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).to.have.length(999)
    expect((await one.rest.get('/sessions/summary')).body.total).to.equal(1)
  })

  it('after kill -9 before its answer is answered, and done once', async () => {
    const database = await migratedDatabase(here)
    let control: Server = await server(here, database)
    await enrol(control.rest, 'edge-1')
    const keys = Array.from({ length: 60 }, () => randomUUID())
    const ask = (key: string, index: number): Promise<Answer> =>
      keyed(control.rest, key, 'POST', '/sessions', { template: 'hello-web', name: `number ${index}` })
    for (let round = 0; round < 3; round += 1) {
      // Some are answered, some committed and not answered, some neither.
      const some = keys.slice(0, 20 * (round + 1)).map((key, index) => ask(key, index).catch(() => null))
      await Promise.race(some)
      control.program.signal('SIGKILL')
      await Promise.all(some)
      await control.program.end()
      control = await server(here, database)
    }
    const answers = await Promise.all(keys.map((key, index) => answered(() => ask(key, index))))
    expect(answers.map(({ status }) => status)).to.deep.equal(keys.map(() => 201))
    const sessions = await control.rest.all('/sessions?limit=500')
    expect(sessions.map(({ name }) => name).toSorted()).to.deep.equal(
      keys.map((_, index) => `number ${index}`).toSorted(),
    )
    expect(new Set(answers.map(({ body }) => body.id))).to.deep.equal(new Set(sessions.map(({ id }) => id)))
  })

  it('shows again what is shown once, to whoever has its key, and to nobody who reads the database', async () => {
    const database = await migratedDatabase(here)
    const { rest: api } = await server(here, database)
    const key = randomUUID()
    const enrolment = { id: 'edge-1', platform: 'process' }
    const first = await keyed(api, key, 'POST', '/agents', enrolment)
    const again = await keyed(api, key, 'POST', '/agents', enrolment)
    expect([first.status, again.status]).to.deep.equal([201, 201])
    expect(again.body).to.deep.equal(first.body)
    expect(again.headers.get('cache-control')).to.equal('no-store')
    expect((await api.post('/agents', enrolment)).status).to.equal(409)
    const { default: pg } = await import('pg')
    const client = new pg.Client({ connectionString: database })
    await client.connect()
    const { rows } = await client.query(
      `SELECT encode(body, 'escape') AS body, encode(key_hash, 'escape') AS hash FROM idempotency_keys`,
    )
    await client.end()
    expect(rows).to.have.length(1)
    expect(JSON.stringify(rows)).not.to.include(first.body.token).and.not.to.include(key)
  })

  it('is refused where it is another request, or whoever asks may no more', async () => {
    const database = await migratedDatabase(here)
    const { rest: api, url } = await server(here, database)
    await enrol(api, 'edge-1')
    const key = randomUUID()
    const made = await keyed(api, key, 'POST', '/sessions', { template: 'hello-web', name: 'mine' })
    expect(made.status, JSON.stringify(made.body)).to.equal(201)
    const reordered = await keyed(api, `"${key}"`, 'POST', '/sessions', { name: 'mine', template: 'hello-web' })
    expect([reordered.status, reordered.body.id, reordered.headers.get('idempotency-replayed')]).to.deep.equal([
      201,
      made.body.id,
      'true',
    ])
    expect(reordered.headers.get('location')).to.equal(made.headers.get('location'))
    for (const [method, path, body] of [
      ['POST', '/sessions', { template: 'hello-web', name: 'another' }],
      ['POST', `/sessions/${made.body.id}/stop`, undefined],
      ['DELETE', `/sessions/${made.body.id}`, undefined],
      ['DELETE', `/sessions/${made.body.id}?force=true`, undefined],
      ['PATCH', `/sessions/${made.body.id}`, { name: 'mine' }],
    ] as const) {
      const refused = await keyed(api, key, method, path, body)
      expect([refused.status, refused.body.code], path).to.deep.equal([422, 'idempotency_mismatch'])
    }
    expect((await api.session(made.body.id)).generation).to.equal(1)
    for (const bad of ['', 'x'.repeat(256), 'é'])
      expect(
        (await keyed(api, bad, 'POST', '/sessions', { template: 'hello-web' }).catch(() => null))?.status ?? 400,
      ).to.equal(400)
    // Another caller’s key is another key.
    const other = rest(url, await keyOf(database, 'user'))
    expect(
      (await keyed(other, key, 'POST', '/sessions', { template: 'hello-web', name: 'mine' })).body.id,
    ).not.to.equal(made.body.id)
  })
})
