/** The feed on a real PostgreSQL: its order, that it passes nothing over, and what becomes of positions when the history changes. */
import { expect } from 'chai'
import pg from 'pg'
import { createFeed } from '../../../adapters/postgres/feed.ts'
import type { FeedEvent, FeedPosition } from '../../../domain/ports/feed.ts'
import { ACME, aCreation, commit, GLOBEX, nowhere, openStores, type Stores } from '../../support/rows.ts'

describe('the feed of session events', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  /** As a transaction of somebody else's. */
  const writer = async () => {
    const client = new pg.Client({ connectionString: stores.url })
    await client.connect()
    return {
      begin: async (type: string, org = 'acme') => {
        await client.query('BEGIN')
        await insert(client, type, org)
      },
      insert: (type: string, org = 'acme') => insert(client, type, org),
      commit: () => client.query('COMMIT'),
      rollback: () => client.query('ROLLBACK'),
      pid: async (): Promise<number> => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid,
      end: () => client.end(),
    }
  }
  const insert = (client: pg.Client, type: string, org: string) =>
    client.query(
      `INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
       VALUES ($1, gen_random_uuid(), $2, 1, '{}', 'test', now())`,
      [org, type],
    )
  const types = (events: readonly FeedEvent[]): readonly string[] => events.map(({ event }) => event.type as string)

  const readFrom = async (after: FeedPosition, limit = 1_000) => {
    const page = await createFeed(stores.database).read(after, limit)
    if (page === 'other_feed') throw new Error(page)
    return page
  }
  /** Everything that can be read now, in pages. */
  const drained = async (after: FeedPosition, limit: number) => {
    const events: FeedEvent[] = []
    for (let from = after; ; ) {
      const page = await readFrom(from, limit)
      events.push(...page.events)
      from = page.next
      if (page.complete) return { events, next: from }
    }
  }
  const nameOfFeed = async (): Promise<string> => (await stores.ask('SELECT name FROM feed'))[0].name

  it('has what was committed since, oldest first, with whose it is', async () => {
    const from = await stores.feed.now()
    const session = await commit(stores, aCreation(nowhere, { labels: { team: 'a' }, name: 'one' }))
    const { events, complete } = await readFrom(from)
    expect(complete).to.equal(true)
    expect(events.map(({ event }) => event)).to.deep.equal(
      (await stores.queries.events({ orgId: ACME, ownerId: null }, session.id, { limit: 10, cursor: null }))?.items,
    )
    expect(events[0]?.orgId).to.equal(ACME)
    expect(events[0]?.subject).to.deep.include({
      userId: 'anna',
      name: 'one',
      labels: { team: 'a' },
      status: 'pending',
    })
  })

  it('holds back what was committed while an older transaction is open, and says whose that is', async () => {
    const [early, late] = [await writer(), await writer()]
    try {
      const from = await stores.feed.now()
      await early.begin('early')
      await late.begin('late')
      await late.commit()
      const held = await readFrom(from)
      expect(types(held.events)).to.deep.equal([])
      const delay = await stores.feed.delay()
      expect(delay?.pid).to.equal(await early.pid())
      expect(delay?.lagMs).to.be.within(0, 60_000)
      await early.commit()
      expect(types((await readFrom(held.next)).events)).to.deep.equal(['early', 'late'])
      expect(await stores.feed.delay()).to.equal(null)
    } finally {
      await early.end()
      await late.end()
    }
  })

  it('passes over what was rolled back, and nothing else', async () => {
    const [early, late] = [await writer(), await writer()]
    try {
      const from = await stores.feed.now()
      await early.begin('never')
      await late.insert('kept')
      await early.rollback()
      expect(types((await readFrom(from)).events)).to.deep.equal(['kept'])
    } finally {
      await early.end()
      await late.end()
    }
  })

  it('shows every event once and in the same order to whoever begins where, while many write', async function () {
    this.timeout(120_000)
    const from = await stores.feed.now()
    const writers = await Promise.all(Array.from({ length: 12 }, writer))
    let writing = true
    const written: string[] = []
    const write = async (name: string, one: Awaited<ReturnType<typeof writer>>, seed: number): Promise<void> => {
      for (let n = 0; n < 40; n += 1) {
        await one.begin(`${name}-${n}-a`)
        // Others begin and end in between, in whatever order they come.
        for (let pause = (seed * 7 + n * 13) % 5; pause > 0; pause -= 1)
          await new Promise((resolve) => setImmediate(resolve))
        if ((n + seed) % 5 === 0) {
          await one.rollback()
          continue
        }
        await one.insert(`${name}-${n}-b`)
        await one.commit()
        written.push(`${name}-${n}-a`, `${name}-${n}-b`)
      }
    }
    const follow = async (limit: number): Promise<readonly string[]> => {
      const seen: string[] = []
      for (let at = from; ; ) {
        const last = !writing
        const { events, next } = await drained(at, limit)
        seen.push(...types(events))
        at = next
        if (last) return seen
      }
    }
    const followers = Promise.all([1, 3, 50, 1_000].map(follow))
    await Promise.all(writers.map((one, index) => write(`w${index}`, one, index)))
    writing = false
    const seen = await followers
    await Promise.all(writers.map((one) => one.end()))
    const whole = await drained(from, 1_000)
    expect(types(whole.events).toSorted()).to.deep.equal(written.toSorted())
    for (const each of seen) expect(each).to.deep.equal(types(whole.events))
    for (const index of [0, 1, 7, 100, whole.events.length - 1]) {
      const after = whole.events[index]?.position ?? from
      expect(types((await drained(after, 7)).events)).to.deep.equal(types(whole.events.slice(index + 1)))
    }
  })

  it('shows an org its own, page by page, however many others there are', async () => {
    const one = await writer()
    try {
      const from = await stores.feed.now()
      for (let n = 0; n < 30; n += 1) await one.insert(`${n}`, n % 10 === 0 ? 'acme' : 'globex')
      const seen: FeedEvent[] = []
      let pages = 0
      for (let at = from, complete = false; !complete; pages += 1) {
        const page = await stores.feed.readOf(ACME, at, 7)
        if (typeof page === 'string') throw new Error(page)
        seen.push(...page.events)
        at = page.next
        complete = page.complete
      }
      expect(types(seen)).to.deep.equal(['0', '10', '20'])
      expect(pages).to.equal(5)
    } finally {
      await one.end()
    }
  })

  it('a position is too old once an event of the org behind it was removed, and not by another org’s', async () => {
    const one = await writer()
    try {
      const from = await stores.feed.now()
      for (const org of ['globex', 'acme', 'globex']) await one.insert('old', org)
      const [, acmes] = (await readFrom(from)).events
      await stores.ask(`UPDATE session_events SET at = now() - interval '2 days'`)
      await stores.retention.events(86_400_000, null, 100)
      expect(await stores.feed.readOf(ACME, from, 10)).to.equal('too_old')
      expect(await stores.feed.readOf(ACME, acmes?.position ?? from, 10)).to.have.property('complete', true)
      expect(await stores.feed.readOf(GLOBEX, acmes?.position ?? from, 10)).to.equal('too_old')
    } finally {
      await one.end()
    }
  })

  describe('in another history', () => {
    const elsewhere = (column: string) => stores.ask(`UPDATE feed SET ${column} = 'somewhere else'`)

    it('keeps its name while the history is the same', async () => {
      const { feed } = await stores.feed.now()
      expect((await stores.feed.now()).feed).to.equal(feed)
      expect((await createFeed(stores.database).now()).feed).to.equal(feed)
    })

    it('has another name after a promotion, and refuses positions that were given before', async () => {
      const from = await stores.feed.now()
      await commit(stores, aCreation(nowhere))
      const xids = await stores.ask('SELECT xid::text FROM session_events')
      await elsewhere('history')
      expect(await stores.feed.read(from, 10)).to.equal('other_feed')
      expect(await nameOfFeed()).not.to.equal(from.feed)
      expect(await stores.feed.readOf(ACME, from, 10)).to.equal('other_feed')
      expect(await stores.ask('SELECT xid::text FROM session_events')).to.deep.equal(xids)
    })

    it('after a restore elsewhere its events come before all new ones, in the order of their ids', async () => {
      const from = await stores.feed.now()
      for (let n = 0; n < 3; n += 1) await commit(stores, aCreation(nowhere))
      await stores.ask(`UPDATE session_events SET xid = (xid::text::bigint + 1000000000)::text::xid8`)
      expect(types((await readFrom(from)).events)).to.deep.equal([])
      const now = await stores.feed.now()
      expect(now.feed).not.to.equal(from.feed)
      await commit(stores, aCreation(nowhere))
      const all = await drained({ feed: now.feed, xid: 0, id: 0 }, 2)
      expect(all.events.map(({ event }) => event.id)).to.deep.equal(
        (await stores.ask('SELECT id FROM session_events ORDER BY id')).map(({ id }) => id),
      )
      expect((await drained(now, 2)).events).to.have.length(all.events.length - 3)
    })

    it('the server’s own readers go on behind a restore, and pass nothing over', async () => {
      const start = await stores.feed.positionOf('webhooks')
      for (let n = 0; n < 4; n += 1) await commit(stores, aCreation(nowhere))
      const { events } = await readFrom(start)
      const read = events[1]
      await stores.ask(
        'UPDATE feed_positions SET xid = $1::text::xid8, id = $2',
        String(read?.position.xid),
        read?.position.id,
      )
      await elsewhere('cluster')
      await stores.feed.now()
      const moved = await stores.feed.positionOf('webhooks')
      expect(moved.feed).to.equal(await nameOfFeed())
      const rest = await drained(moved, 100)
      expect(rest.events.map(({ event }) => event.id)).to.deep.equal(events.slice(2).map(({ event }) => event.id))
    })

    it('gets one new name, whoever finds out first', async () => {
      await stores.feed.now()
      await elsewhere('cluster')
      const found = await Promise.all(Array.from({ length: 8 }, () => stores.feed.now()))
      expect(new Set(found.map(({ feed }) => feed)).size).to.equal(1)
    })
  })
})
