/** Streams of events over a real HTTP server and a real PostgreSQL, with readers of every kind. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import pg from 'pg'
import { pino } from 'pino'
import { createHttpApp } from '../../../adapters/http/create-http-app.ts'
import { createIdempotency } from '../../../adapters/http/idempotency.ts'
import { type Listening, listen } from '../../../adapters/http/listen.ts'
import { createWatches, type Watches } from '../../../adapters/http/watches.ts'
import { createFeed } from '../../../adapters/postgres/feed.ts'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { createFeedTokens } from '../../../adapters/secrets/feed-tokens.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type { UserId } from '../../../domain/ids.ts'
import type { Authenticated } from '../../../domain/ports/access.ts'
import { watchSessions } from '../../../src/usecases/watch-sessions.ts'
import { createLiveFeed } from '../../../src/watch/live-feed.ts'
import { eventually } from '../../support/eventually.ts'
import { ACME, GLOBEX, openStores, type Stores } from '../../support/rows.ts'
import { type Told, type WatchCall, type Watcher, watch } from '../../support/watcher.ts'
import { answersInMemory } from './api-server.ts'
import { fakeApplication } from './fake-application.ts'

const caller: Caller = { orgId: ACME, userId: 'vera' as UserId, role: 'viewer', keyId: null }

type Replica = {
  readonly url: string
  readonly watches: Watches
  /** How often somebody had to show who it is. */
  readonly asked: () => number
  readonly say: (answer: Authenticated) => void
  readonly close: () => Promise<void>
}

describe('streams of events', function () {
  this.timeout(120_000)
  let stores: Stores
  const replicas: Replica[] = []
  const watchers: Watcher[] = []

  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(async () => {
    for (const watcher of watchers.splice(0)) watcher.cut()
    await Promise.all(replicas.splice(0).map(({ close }) => close()))
    await stores.close()
  })

  /** One replica's part of it; of its database nothing is shared with another's. */
  const replica = async ({
    ring = 10_000,
    unreadBytes = 262_144,
    patienceMs = 15_000,
    heartbeatMs = 15_000,
    mostOfOne = 10_000,
  } = {}): Promise<Replica> => {
    const database = openDatabase({ url: stores.url, maxConnections: 4 })
    const feed = createFeed(database)
    const live = createLiveFeed({ feed, told: () => {}, ring })
    let says: Authenticated = { kind: 'caller', caller }
    const app = fakeApplication()
    let asked = 0
    const authenticate = async (): Promise<Authenticated> => {
      asked += 1
      return says
    }
    const log = pino({ level: 'silent' })
    const watches = createWatches({ authenticate, log, heartbeatMs, unreadBytes, patienceMs, mostOfOne })
    const application = {
      ...app,
      authenticate,
      sessions: {
        ...app.sessions,
        watch: watchSessions({ feed, live, tokens: createFeedTokens(Buffer.alloc(32, 1)) }),
      },
    }
    const listening: Listening = await listen({
      app: createHttpApp(application, {
        log,
        version: '2.0.0',
        watches,
        idempotency: createIdempotency(answersInMemory(), Buffer.alloc(32)),
      }),
      host: '127.0.0.1',
      port: 0,
    })
    const made: Replica = {
      url: listening.url,
      watches,
      asked: () => asked,
      say: (answer) => {
        says = answer
      },
      close: async () => {
        watches.close()
        await live.stop()
        await listening.close(0)
        await database.close()
      },
    }
    replicas.push(made)
    return made
  }
  const watching = async ({ url }: Pick<Replica, 'url'>, more: Partial<WatchCall> = {}): Promise<Watcher> => {
    const watcher = await watch({ url, key: 'ssk_x', ...more })
    watchers.push(watcher)
    return watcher
  }
  const behind = (id: string): Partial<WatchCall> => ({ headers: { 'last-event-id': id } })

  const INSERT = `
    INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
    SELECT 'acme', gen_random_uuid(), 'running', 1, jsonb_build_object('text', repeat('x', $2)), 'test', now()
      FROM generate_series(1, $1::int)`
  const write = (count: number, size = 0): Promise<unknown> => stores.ask(INSERT, count, size)
  const written = async (): Promise<readonly number[]> =>
    (await stores.ask('SELECT id FROM session_events ORDER BY xid, id')).map(({ id }) => id)
  const idsOf = (told: readonly Told[]): readonly number[] => told.map(({ data }) => data.id)

  it('tell each watcher every event once, in one order, wherever it was cut, on two replicas, while many write', async function () {
    this.timeout(120_000)
    const both = [await replica({ ring: 40 }), await replica({ ring: 5_000 })]
    const beginning = (await watching(both[0] as Replica)).begun()
    let writing = true
    let seed = 7
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor((seed / 2_147_483_648) * below)
    }
    const writer = async (): Promise<void> => {
      const client = new pg.Client({ connectionString: stores.url })
      await client.connect()
      for (let n = 0; n < 60; n += 1) {
        await client.query('BEGIN')
        await client.query(INSERT, [1 + random(3), random(200)])
        // Some take their time, and hold back all that begins after them.
        if (random(10) === 0) await client.query('SELECT pg_sleep($1)', [random(40) / 1_000])
        await client.query(random(8) === 0 ? 'ROLLBACK' : 'COMMIT')
      }
      await client.end()
    }
    /** Cut in the middle of anything, and back at either replica. */
    const restless = async (stayMs: number): Promise<readonly number[]> => {
      const seen: number[] = []
      let from = beginning
      for (;;) {
        const last = !writing
        const watcher = await watching(both[random(2)] as Replica, behind(from))
        if (last) {
          const all = await written()
          await eventually(() => expect(seen.length + watcher.told.length).to.be.at.least(all.length))
        } else await wait(random(stayMs))
        watcher.cut()
        seen.push(...idsOf(watcher.told))
        from = watcher.told.at(-1)?.id ?? from
        if (last) return seen
      }
    }
    const steady = await watching(both[1] as Replica, behind(beginning))
    const all = Promise.all([20, 60, 150, 400].map(restless))
    await Promise.all(Array.from({ length: 8 }, writer))
    writing = false
    const seen = await all
    const order = await written()
    await steady.until(order.length, 15_000)
    expect(idsOf(steady.told)).to.deep.equal(order)
    for (const each of seen) expect(each).to.deep.equal(order)
  })

  it('begin with what comes after them, though it is held back by what began before', async () => {
    const one = await replica()
    const slow = new pg.Client({ connectionString: stores.url })
    await slow.connect()
    await slow.query('BEGIN')
    await slow.query(INSERT, [1, 0])
    await write(1)
    const watcher = await watching(one)
    await write(1)
    await slow.query('COMMIT')
    await slow.end()
    // What had been committed before it came is not told, what was not is.
    await watcher.until(2)
    await write(1)
    expect(idsOf(await watcher.until(3))).to.deep.equal([1, 3, 4])
  })

  it('go on from long ago, in pages from the database', async () => {
    const one = await replica({ ring: 200 })
    const first = await watching(one)
    await write(7_000)
    await first.until(7_000, 20_000)
    const again = await watching(one, behind(first.begun()))
    await again.until(7_000, 20_000)
    await write(3)
    expect(idsOf(await again.until(7_003))).to.deep.equal(await written())
  })

  it('drop who does not read, and who reads on with the last that came has missed nothing', async () => {
    const one = await replica({ unreadBytes: 100_000, patienceMs: 300 })
    const slow = await watching(one)
    const quick = await watching(one)
    slow.pause()
    // More than both kernels hold for it.
    for (let n = 0; n < 80 && one.watches.dropped() === 0; n += 1) {
      await write(20, 10_000)
      await quick.until((n + 1) * 20, 20_000)
    }
    await eventually(() => expect(one.watches.dropped()).to.equal(1))
    slow.resume()
    await slow.over()
    expect(quick.isOver()).to.equal(false)
    const order = await written()
    const again = await watching(one, behind(slow.lastId()))
    await again.until(order.length - slow.told.length, 20_000)
    expect([...idsOf(slow.told), ...idsOf(again.told)]).to.deep.equal(order)
    expect(one.watches.dropped()).to.equal(1)
  })

  it('do not drop who reads, however much comes at once', async () => {
    const one = await replica({ unreadBytes: 10_000, patienceMs: 5_000 })
    const watcher = await watching(one)
    await write(3_000, 1_000)
    expect(idsOf(await watcher.until(3_000, 20_000))).to.deep.equal(await written())
    await write(1)
    await watcher.until(3_001)
    expect(one.watches.dropped()).to.equal(0)
  })

  it('drop who reads more slowly than events come, for longer than they are remembered', async () => {
    const one = await replica({ ring: 50, unreadBytes: 1_000, patienceMs: 60_000 })
    const slow = await watching(one)
    const quick = await watching(one)
    slow.pause()
    for (let n = 0; n < 80; n += 1) {
      await write(20, 10_000)
      await quick.until((n + 1) * 20, 20_000)
    }
    slow.resume()
    await slow.over()
    const order = await written()
    const again = await watching(one, behind(slow.lastId()))
    await again.until(order.length - slow.told.length, 20_000)
    expect([...idsOf(slow.told), ...idsOf(again.told)]).to.deep.equal(order)
  })

  it('refuse a position behind which events are gone, and one of another history', async () => {
    const one = await replica({ ring: 1 })
    const first = await watching(one)
    await write(1)
    const [{ id: kept }] = (await first.until(1)) as [Told]
    await stores.ask(`UPDATE session_events SET at = now() - interval '2 days'`)
    await stores.retention.events(86_400_000, null, 100)
    await write(5)
    await first.until(6)
    const problem = async (from: string) => {
      const refused = await watching(one, behind(from))
      return [refused.status, JSON.parse(refused.text()).code]
    }
    expect(await problem(first.begun())).to.deep.equal([410, 'position_gone'])
    expect(idsOf(await (await watching(one, behind(kept))).until(5))).to.have.length(5)
    // As after a promotion: the stream that is open cannot go on either.
    await stores.ask(`UPDATE feed SET history = 'another'`)
    await first.over()
    expect(first.comments.at(-1)).to.include('another')
    expect(await problem(first.lastId())).to.deep.equal([410, 'position_gone'])
    const anew = await watching(one)
    await write(1)
    await anew.until(1)
  })

  it('outlive a database that is away, and go on when it is back', async () => {
    const one = await replica()
    const watcher = await watching(one)
    await stores.ask(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`,
    )
    await write(2)
    expect(idsOf(await watcher.until(2))).to.deep.equal(await written())
  })

  it('end with the right to them, and only then', async () => {
    const one = await replica({ heartbeatMs: 100 })
    const watcher = await watching(one)
    one.say({ kind: 'unavailable' })
    const before = one.asked()
    await eventually(() => expect(one.asked()).to.be.above(before + 1))
    expect(watcher.isOver()).to.equal(false)
    one.say({ kind: 'unauthorized' })
    await watcher.over(5_000)
    one.say({ kind: 'caller', caller })
    const changed = await watching(one)
    one.say({ kind: 'caller', caller: { ...caller, role: 'user' } })
    await changed.over(5_000)
  })

  it('of one org are bounded, so that some are left for others', async () => {
    const one = await replica({ mostOfOne: 2 })
    const two = [await watching(one), await watching(one)]
    expect((await watching(one)).status).to.equal(503)
    one.say({ kind: 'caller', caller: { ...caller, userId: 'walter' as UserId } })
    expect((await watching(one)).status).to.equal(503)
    one.say({ kind: 'caller', caller: { ...caller, orgId: GLOBEX } })
    expect((await watching(one)).status).to.equal(200)
    one.say({ kind: 'caller', caller })
    two[0]?.cut()
    await eventually(() => expect(one.watches.size()).to.equal(2))
    expect((await watching(one)).status).to.equal(200)
  })

  it('are counted while they are there', async () => {
    const one = await replica()
    const three = await Promise.all([watching(one), watching(one), watching(one)])
    expect(one.watches.size()).to.equal(3)
    three[1]?.cut()
    await eventually(() => expect(one.watches.size()).to.equal(2))
    one.watches.close()
    await three[0]?.over()
    expect(three[0]?.retry()).to.be.within(500, 3_000)
    expect((await watching(one)).status).to.equal(503)
  })
})
