/** The watch as a program from outside sees it, over two replicas of one database. */
import { expect } from 'chai'
import pg from 'pg'
import { portToKeep } from '../support/ports.ts'
import { type Told, type WatchCall, type Watcher, watch } from '../support/watcher.ts'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, type Server, server, streamspace } from './support/streamspace.ts'

describe('watching', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let database: string
  let one: Server
  let other: Server
  const open: Watcher[] = []

  const starts = (PORT = '0'): Promise<Server> =>
    server(here, database, { STREAMSPACE_WATCH_HEARTBEAT_MS: '300', PORT })
  before(async () => {
    database = await migratedDatabase(here)
    ;[one, other] = await Promise.all([starts(), starts()])
    const { status } = await one.rest.post('/agents', { id: 'nobody-there', platform: 'process' })
    expect(status).to.equal(201)
  })
  afterEach(() => {
    for (const each of open.splice(0)) each.cut()
  })

  const watching = async (api: Rest, query = '', more: Partial<WatchCall> = {}): Promise<Watcher> => {
    const watcher = await watch({ url: api.url, key: api.key, query, ...more })
    open.push(watcher)
    return watcher
  }
  const behind = (id: string): Partial<WatchCall> => ({ headers: { 'last-event-id': id } })
  const create = async (api: Rest, more: object = {}): Promise<string> =>
    (await api.create({ template: 'hello-web', ...more })).id
  const brief = (told: readonly Told[]): readonly string[] => told.map(({ data }) => `${data.sessionId} ${data.type}`)

  it('begins at once, and tells what happens from then on as the history has it', async () => {
    await create(one.rest)
    const watcher = await watching(one.rest)
    expect(watcher.status).to.equal(200)
    expect(watcher.headers['content-type']).to.equal('text/event-stream')
    expect(watcher.begun()).to.match(/^\S+$/)
    const id = await create(one.rest)
    await one.rest.post(`/sessions/${id}/stop`)
    const told = await watcher.until(2)
    const { body } = await one.rest.get(`/sessions/${id}/events`)
    expect(told.map(({ data }) => data)).to.deep.equal(body.items)
    expect(new Set(told.map(({ id: position }) => position)).size).to.equal(told.length)
  })

  it('tells of what happened on another replica, to all in the same order', async () => {
    const watchers = [await watching(one.rest), await watching(other.rest)]
    const made = await Promise.all(Array.from({ length: 30 }, (_, n) => create(n % 2 === 0 ? one.rest : other.rest)))
    const [here_, there] = await Promise.all(watchers.map((watcher) => watcher.until(made.length)))
    expect(brief(here_ ?? [])).to.deep.equal(brief(there ?? []))
    expect((here_ ?? []).map(({ id }) => id)).to.deep.equal((there ?? []).map(({ id }) => id))
  })

  it('goes on where it was, on whichever replica, and tells nothing twice', async () => {
    const whole = await watching(one.rest)
    const first = await watching(one.rest)
    const asleep = first.begun()
    for (let n = 0; n < 5; n += 1) await create(one.rest)
    const told = await whole.until(5)
    first.cut()
    for (const [index, from] of [asleep, ...told.map(({ id }) => id)].entries()) {
      const again = await watching(index % 2 === 0 ? other.rest : one.rest, '', behind(from))
      expect(again.begun()).to.equal(from)
      expect(brief(await again.until(told.length - index))).to.deep.equal(brief(told.slice(index)))
      again.cut()
    }
  })

  it('tells of a session to its end, and of one that is gone', async () => {
    const watcher = await watching(one.rest)
    const id = await create(one.rest)
    await one.rest.ask('DELETE', `/sessions/${id}?force=true`)
    const told = await watcher.until(3)
    expect(told.at(-1)?.data.type).to.equal('deleted')
    const again = await watching(one.rest, `?session=${id}`, behind(watcher.begun()))
    expect(brief(await again.until(told.length))).to.deep.equal(brief(told))
  })

  it('filters', async () => {
    const wanted = await create(one.rest, { labels: { team: 'a' }, name: 'Wanted one' })
    const queries = [
      '?label=team=a',
      '?q=wanted',
      `?session=${wanted}`,
      '?type=stop_requested,stopped&label=team=a',
      '?status=stopped&label=team=a',
    ]
    const watchers = await Promise.all(queries.map((query) => watching(one.rest, query)))
    const other_ = await create(one.rest, { labels: { team: 'b' } })
    await one.rest.post(`/sessions/${other_}/stop`)
    await one.rest.post(`/sessions/${wanted}/stop`)
    for (const watcher of watchers)
      for (const { data } of await watcher.until(1)) expect(data.sessionId).to.equal(wanted)
    const { status, body } = await one.rest.get('/watch?colour=red')
    expect(status).to.equal(400)
    expect(body.errors[0].field).to.equal('colour')
  })

  it('a user is told of its own sessions alone, and an org of its own', async () => {
    const made = async (role: string, userId: string, org: string): Promise<Rest> => {
      const { body } = await one.rest.post('/api-keys', { role, userId }, { 'streamspace-org': org })
      return rest(one.url, body.key)
    }
    await one.rest.post('/orgs', { id: 'elsewhere' })
    const [anna, ben, viewer, stranger] = await Promise.all([
      made('user', 'anna', 'default'),
      made('user', 'ben', 'default'),
      made('viewer', 'vera', 'default'),
      made('admin', 'anna', 'elsewhere'),
    ])
    const watchers = await Promise.all([anna, ben, viewer, stranger].map((api) => watching(api)))
    const [annas, bens, all, strangers] = watchers
    const [hers, his] = [await create(anna), await create(ben)]
    await all?.until(2)
    for (const [watcher, id] of [
      [annas, hers],
      [bens, his],
    ] as const) {
      await watcher?.until(1)
      expect(new Set(watcher?.told.map(({ data }) => data.sessionId))).to.deep.equal(new Set([id]))
    }
    expect(strangers?.told).to.deep.equal([])
    // A position is of one org.
    const misplaced = await watching(stranger, '', behind(all?.lastId() ?? ''))
    expect(misplaced.status).to.equal(400)
    const again = await watching(anna, '', behind(all?.begun() ?? ''))
    expect(brief(await again.until(1))).to.deep.equal(brief(annas?.told ?? []))
  })

  it('refuses positions that were not given here, and those of another history', async () => {
    const { begun } = await watching(one.rest)
    const bad = [
      'nonsense',
      `${begun()}x`,
      begun().slice(0, -1),
      begun().replace(/^./, (first) => (first === 'z' ? 'y' : 'z')),
      '🙂'.repeat(3),
      'x'.repeat(5_000),
    ]
    for (const id of bad) {
      const refused = await watching(one.rest, '', behind(Buffer.from(id).toString('latin1')))
      expect(refused.status, id).to.equal(400)
      const { code, errors } = JSON.parse(refused.text())
      expect({ code, field: errors[0].field }).to.deep.equal({ code: 'invalid_request', field: 'Last-Event-ID' })
    }
  })

  it('says that it is there while nothing happens', async () => {
    const watcher = await watching(one.rest)
    await create(one.rest)
    await watcher.until(1)
    const { length } = watcher.comments
    await eventually(async () => expect(watcher.comments.length).to.be.above(length + 2))
    expect(watcher.told).to.have.length(1)
  })

  it('ends within five seconds when the key is revoked', async () => {
    const { body } = await one.rest.post('/api-keys', { role: 'viewer' })
    const watchers = [one, other].map(({ url }) => watching(rest(url, body.key)))
    const [near, far] = await Promise.all(watchers)
    const staying = await watching(one.rest)
    await one.rest.ask('DELETE', `/api-keys/${body.id}`)
    await Promise.all([near?.over(5_000), far?.over(5_000)])
    expect(near?.comments.at(-1)).to.include('not good for it any more')
    expect(staying.isOver()).to.equal(false)
    expect((await watching(rest(one.url, body.key))).status).to.equal(401)
  })

  it('ends within five seconds when its org is deleted', async () => {
    await one.rest.post('/orgs', { id: 'short-lived' })
    const key = await keyOf(database, 'viewer', 'short-lived')
    const watcher = await watching(rest(other.url, key))
    expect((await one.rest.ask('DELETE', '/orgs/short-lived')).status).to.equal(204)
    await watcher.over(5_000)
  })

  it('ends a stream in order when its replica stops, and another one goes on', async () => {
    const short = await starts()
    const watcher = await watching(short.rest)
    await create(one.rest)
    await watcher.until(1)
    short.program.signal('SIGTERM')
    await watcher.over(5_000)
    expect(watcher.retry()).to.be.within(100, 5_000)
    const id = await create(one.rest)
    const again = await watching(other.rest, '', behind(watcher.lastId()))
    expect(brief(await again.until(1))).to.deep.equal([`${id} created`])
    expect((await short.program.end()).code).to.equal(0)
  })

  it('goes on after a replica was killed', async () => {
    const short = await starts()
    const watcher = await watching(short.rest)
    await create(one.rest)
    await watcher.until(1)
    short.program.signal('SIGKILL')
    const id = await create(one.rest)
    await watcher.over(5_000)
    const next = await starts()
    const again = await watching(next.rest, '', behind(watcher.lastId()))
    expect(brief(await again.until(1))).to.deep.equal([`${id} created`])
  })

  it('the command line tells everything once, through a server that was killed and is back', async () => {
    const port = await portToKeep()
    const short = await starts(port)
    const watcher = streamspace(here, ['session', 'watch', '--json', '--type', 'created'], {
      STREAMSPACE_URL: short.url,
      STREAMSPACE_API_KEY: short.rest.key,
    })
    const seen = (): readonly string[] =>
      watcher
        .stdout()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line).sessionId)
    const made: string[] = []
    await eventually(async () => {
      made.push(await create(one.rest))
      expect(seen()).not.to.deep.equal([])
    })
    short.program.signal('SIGKILL')
    for (let n = 0; n < 5; n += 1) made.push(await create(one.rest))
    const back = await starts(port)
    made.push(await create(back.rest))
    await eventually(() => expect(seen().at(-1)).to.equal(made.at(-1)))
    expect(seen()).to.deep.equal(made.slice(made.indexOf(seen()[0] ?? '')))
    watcher.signal('SIGINT')
    expect((await watcher.end()).code).to.equal(0)
  })

  it('metrics say who watches, and whose transaction events wait for', async () => {
    const metric = async (name: string): Promise<string> => {
      const { status, headers, body } = await one.rest.get('/metrics')
      expect(status).to.equal(200)
      expect(headers.get('content-type')).to.match(/^text\/plain/)
      return String(body)
        .split('\n')
        .filter((line) => line.startsWith(name))
        .join('\n')
    }
    await eventually(async () =>
      expect(await metric('streamspace_feed_lag')).to.equal('streamspace_feed_lag_seconds{blocking_pid=""} 0'),
    )
    await watching(one.rest)
    expect(await metric('streamspace_watchers ')).to.match(/ [1-9]\d*$/)
    const client = new pg.Client({ connectionString: database })
    await client.connect()
    try {
      await client.query('BEGIN')
      const { rows } = await client.query('SELECT pg_current_xact_id(), pg_backend_pid() AS pid')
      await create(one.rest)
      await eventually(async () =>
        expect(await metric('streamspace_feed_lag')).to.match(new RegExp(`blocking_pid="${rows[0].pid}"} [\\d.e-]+$`)),
      )
    } finally {
      await client.end()
    }
  })

  it('serves many more than a browser would open, beside everything else', async () => {
    const watchers = await Promise.all(Array.from({ length: 300 }, () => watching(one.rest)))
    const id = await create(one.rest)
    for (const watcher of watchers) expect((await watcher.until(1))[0]?.data.sessionId).to.equal(id)
  })

  it('HEAD answers without a stream', async () => {
    const { status, headers } = await one.rest.ask('HEAD', '/watch')
    expect(status).to.equal(200)
    expect(headers.get('content-type')).to.equal('text/event-stream')
  })
})
