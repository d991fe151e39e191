import { expect } from 'chai'
import type { Scope } from '../../../domain/identity/caller.ts'
import type { SessionId, UserId } from '../../../domain/ids.ts'
import type { Page } from '../../../domain/ports/page.ts'
import {
  BadCursorError,
  type SessionFilter,
  type SessionSort,
  sessionSorts,
  type WrittenPage,
} from '../../../domain/ports/sessions.ts'
import { remove, stop, update } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import type { SessionView } from '../../../domain/session/session-view.ts'
import { sessionView } from '../../../domain/session/session-view.ts'
import {
  ACME,
  ANNA,
  aCreation,
  acme,
  anAgent,
  anIntent,
  aSessionOn,
  BEN,
  commit,
  GLOBEX,
  globex,
  ids,
  nowhere,
  openStores,
  right,
  type Stores,
} from '../../support/rows.ts'
import { readPage } from '../../support/written-page.ts'

const firstPage = { limit: 50, cursor: null }

describe('session queries', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())

  const made = (overrides: Partial<Session> = {}) => commit(stores, aCreation(nowhere, overrides))
  const get = async ({ orgId, ownerId }: Scope, id: SessionId) =>
    (await stores.queries.get(orgId, [{ id, ownerId }]))[0]
  const names = (page: WrittenPage) => readPage(page).items.map(({ name }) => name)

  /** All pages, one after the other. */
  const allPages = async (sort: SessionSort, limit: number, filter: SessionFilter, between = async () => {}) => {
    const items: SessionView[] = []
    let cursor: string | null = null
    do {
      const page: Page<SessionView> = readPage(await stores.queries.list(acme, filter, sort, { limit, cursor }))
      expect(page.items.length).to.be.at.most(limit)
      items.push(...page.items)
      cursor = page.nextCursor
      await between()
    } while (cursor !== null)
    return items
  }

  describe('one session', () => {
    it('is shown as the API has it', async () => {
      const { agentId } = await anAgent(stores, { id: 'shown' })
      const session = await aSessionOn(stores, agentId, { labels: { a: 'b' } })
      expect(await get(acme, session.id)).to.deep.equal(sessionView(session, true))
      await stores.ask(`UPDATE agent_liveness SET last_heartbeat_at = now() - interval '2 minutes'`)
      expect((await get(acme, session.id))?.agentReachable).to.equal(false)
      await stores.ask('UPDATE agent_liveness SET last_heartbeat_at = now()')
      await stores.ask('UPDATE agent_leases SET replica_id = NULL')
      expect((await get(acme, session.id))?.agentReachable).to.equal(false)
    })

    it('is nobody’s who may not see it', async () => {
      const session = await made()
      expect(await get(globex, session.id)).to.equal(null)
      expect(await get({ orgId: ACME, ownerId: BEN }, session.id)).to.equal(null)
      expect(await get({ orgId: ACME, ownerId: ANNA }, session.id)).to.be.an('object')
      expect(await get(acme, ids.session())).to.equal(null)
    })

    it('is found among others that are wanted with it, in the order in which they are wanted', async () => {
      const [one, other] = [await made(), await made()]
      const wanted = [other.id, ids.session(), one.id, other.id].map((id) => ({ id, ownerId: null }))
      const views = await stores.queries.get(ACME, wanted)
      expect(views.map((view) => view?.id ?? null)).to.deep.equal([other.id, null, one.id, other.id])
      expect(await stores.queries.get(GLOBEX, wanted)).to.deep.equal([null, null, null, null])
    })

    it('is shown to each of those who want it at the same time only where they may see it', async () => {
      const [annas, bens] = [await made(), await made({ userId: BEN })]
      const wanted = [annas, bens].flatMap(({ id }) => [ANNA, BEN, null].map((ownerId) => ({ id, ownerId })))
      const views = await stores.queries.get(ACME, wanted)
      expect(views.map((view) => view?.userId ?? null)).to.deep.equal([ANNA, null, ANNA, null, BEN, BEN])
    })

    it('that is a tombstone is gone from everything', async () => {
      const session = await made({ labels: { is: 'tombstone' } })
      await commit(stores, right(remove(session, anIntent())))
      const filter = { label: [['is', 'tombstone']] } as const
      expect(await get(acme, session.id)).to.equal(null)
      expect(await stores.queries.events(acme, session.id, firstPage)).to.equal(null)
      expect(await stores.queries.commandsOf(acme, session.id, firstPage)).to.equal(null)
      expect(await stores.queries.touch(acme, session.id, new Date())).to.equal(false)
      expect(names(await stores.queries.list(acme, filter, '-createdAt', firstPage))).to.deep.equal([])
      expect((await stores.queries.summary(acme, filter)).total).to.equal(0)
      expect(await stores.sessions.load(acme, session.id)).to.equal(null)
      expect(await stores.sessions.loadMany([session.id])).to.have.length(1)
    })
  })

  describe('filters', () => {
    const filtered = { orgId: 'filtered' as typeof ACME, ownerId: null }
    const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second))
    before(async () => {
      const { agentId } = await anAgent(stores, { id: 'filters', orgId: null })
      const template = { id: ids.template(), name: 'desktop', version: 2 }
      const rows: Partial<Session>[] = [
        { name: 'Anna one', labels: { team: 'blue', tier: 'gold' }, createdAt: at(1) },
        { name: 'anna_two', labels: { team: 'blue' }, createdAt: at(2), template },
        { name: 'ANNA%3', labels: { team: 'red' }, createdAt: at(3), platform: 'docker' },
        { name: 'Ben', userId: BEN, createdAt: at(4) },
      ]
      for (const row of rows) await made({ ...row, orgId: filtered.orgId })
      await aSessionOn(stores, agentId, { name: 'placed', orgId: filtered.orgId, createdAt: at(5) })
      await stores.ask(`UPDATE sessions SET status = 'failed' WHERE name = 'Ben'`)
    })

    const everything = ['placed', 'Ben', 'ANNA%3', 'anna_two', 'Anna one']
    const cases: readonly (readonly [string, SessionFilter, readonly string[]])[] = [
      ['nothing', {}, everything],
      ['a user', { user: ['ben'] }, ['Ben']],
      ['several users', { user: ['ben', 'anna'] }, everything],
      ['an unknown user', { user: ['nobody'] }, []],
      ['a status', { status: ['failed'] }, ['Ben']],
      ['several statuses', { status: ['failed', 'scheduling'] }, ['placed', 'Ben']],
      ['a template', { template: ['desktop'] }, ['anna_two']],
      ['a platform', { platform: ['docker'] }, ['ANNA%3']],
      ['an agent', { agent: ['filters'] }, ['placed']],
      ['a label', { label: [['team', 'blue']] }, ['anna_two', 'Anna one']],
      [
        'two labels',
        {
          label: [
            ['team', 'blue'],
            ['tier', 'gold'],
          ],
        },
        ['Anna one'],
      ],
      [
        'one label with two values',
        {
          label: [
            ['team', 'blue'],
            ['team', 'red'],
          ],
        },
        [],
      ],
      ['a label by its name and another value', { label: [['team', 'green']] }, []],
      ['the beginning of a name, in any case', { q: 'aNNa' }, ['ANNA%3', 'anna_two', 'Anna one']],
      ['a beginning with _, which means itself', { q: 'anna_' }, ['anna_two']],
      ['a beginning with %, which means itself', { q: 'anna%' }, ['ANNA%3']],
      ['a beginning with a backslash', { q: 'anna\\' }, []],
      ['after a time', { createdAfter: at(3) }, ['placed', 'Ben']],
      ['before a time', { createdBefore: at(3) }, ['anna_two', 'Anna one']],
      ['several at once', { user: ['anna'], label: [['team', 'blue']], createdAfter: at(1) }, ['anna_two']],
    ]
    for (const [what, filter, expected] of cases)
      it(`by ${what}`, async () => {
        expect(names(await stores.queries.list(filtered, filter, '-createdAt', firstPage))).to.deep.equal(expected)
        expect((await stores.queries.summary(filtered, filter)).total).to.equal(expected.length)
      })

    it('never reach into another org, nor beyond what a user owns', async () => {
      const bens = { ...filtered, ownerId: BEN }
      expect(names(await stores.queries.list(globex, {}, '-createdAt', firstPage))).to.deep.equal([])
      expect(names(await stores.queries.list(globex, { user: ['ben'] }, 'name', firstPage))).to.deep.equal([])
      expect(names(await stores.queries.list(bens, {}, '-createdAt', firstPage))).to.deep.equal(['Ben'])
      expect(names(await stores.queries.list(bens, { user: ['anna'] }, '-createdAt', firstPage))).to.deep.equal([])
      expect((await stores.queries.summary(bens, {})).total).to.equal(1)
    })

    const sorted: { readonly [S in SessionSort]: readonly string[] } = {
      '-createdAt': everything,
      createdAt: everything.toReversed(),
      name: ['Anna one', 'ANNA%3', 'anna_two', 'Ben', 'placed'],
      '-name': ['placed', 'Ben', 'anna_two', 'ANNA%3', 'Anna one'],
    }
    for (const sort of sessionSorts)
      it(`sort by ${sort}`, async () => {
        expect(names(await stores.queries.list(filtered, {}, sort, firstPage))).to.deep.equal(sorted[sort])
      })

    it('count by status, with a zero for every status there is', async () => {
      expect(await stores.queries.summary(filtered, {})).to.deep.equal({
        total: 5,
        byStatus: {
          pending: 3,
          scheduling: 1,
          running: 0,
          hibernating: 0,
          hibernated: 0,
          stopping: 0,
          stopped: 0,
          failed: 1,
          deleting: 0,
        },
      })
    })
  })

  describe('pages', () => {
    const paged: SessionFilter = { user: ['pager'] }
    const PAGER = 'pager' as UserId

    it('follow each other without a gap or a repeat while rows come and go', async () => {
      for (const sort of sessionSorts) {
        const user = `pager ${sort}` as UserId
        const before = []
        for (let n = 0; n < 23; n += 1) before.push(await made({ userId: user, name: `row ${n % 7}` }))
        let added = 0
        const seen = await allPages(sort, 4, { user: [user] }, async () => {
          added += 1
          await made({ userId: user, name: `row ${added % 9}` })
        })
        const seenIds = seen.map(({ id }) => id)
        expect(new Set(seenIds).size, sort).to.equal(seenIds.length)
        expect(seenIds, sort).to.include.members(before.map(({ id }) => id))
      }
    })

    it('tell microseconds apart, and rows of the same microsecond by their id', async () => {
      const sessions = []
      for (let n = 0; n < 12; n += 1) sessions.push(await made({ userId: PAGER, name: 'the same name' }))
      for (const [n, { id }] of sessions.entries())
        await stores.ask(
          `UPDATE sessions SET created_at = '2026-02-03T04:05:06.123000Z'::timestamptz + $2 * interval '1 microsecond' WHERE id = $1`,
          id,
          Math.floor(n / 3),
        )
      const [{ order }] = (await stores.ask(
        `SELECT array_agg(id::text ORDER BY created_at, id) AS order FROM sessions WHERE user_id = 'pager'`,
      )) as [{ order: string[] }]
      const idsOf = async (sort: SessionSort) => (await allPages(sort, 1, paged)).map(({ id }) => id)
      expect(await idsOf('createdAt')).to.deep.equal(order)
      expect(await idsOf('-createdAt')).to.deep.equal(order.toReversed())
      const byId = sessions.map(({ id }) => id).toSorted()
      expect(await idsOf('name')).to.deep.equal(byId)
      expect(await idsOf('-name')).to.deep.equal(byId.toReversed())
    })

    it('end exactly where the rows end', async () => {
      const user = 'exact' as UserId
      for (let n = 0; n < 4; n += 1) await made({ userId: user })
      const list = (limit: number) => stores.queries.list(acme, { user: [user] }, '-createdAt', { limit, cursor: null })
      expect((await list(4)).nextCursor).to.equal(null)
      expect((await list(3)).nextCursor).to.be.a('string')
    })

    it('have cursors that no other list takes, and that nobody can make himself', async () => {
      const user = 'cursors' as UserId
      for (let n = 0; n < 2; n += 1) await made({ userId: user })
      const page = await stores.queries.list(acme, { user: [user] }, '-createdAt', { limit: 1, cursor: null })
      const cursor = page.nextCursor!
      const session = await made()
      const tampered = Buffer.from(cursor, 'base64url')
      tampered[tampered.length - 2]! ^= 1
      const refused: readonly (() => Promise<unknown>)[] = [
        () => stores.queries.list(acme, {}, 'createdAt', { limit: 1, cursor }),
        () => stores.queries.list(acme, {}, 'name', { limit: 1, cursor }),
        () => stores.queries.commands(acme, {}, { limit: 1, cursor }),
        () => stores.queries.events(acme, session.id, { limit: 1, cursor }),
        () => stores.queries.list(acme, {}, '-createdAt', { limit: 1, cursor: 'made up' }),
        () => stores.queries.list(acme, {}, '-createdAt', { limit: 1, cursor: '' }),
        () => stores.queries.list(acme, {}, '-createdAt', { limit: 1, cursor: tampered.toString('base64url') }),
      ]
      for (const ask of refused) {
        const error = await ask().then(
          () => null,
          (thrown: unknown) => thrown,
        )
        expect(error).to.be.an.instanceOf(BadCursorError)
      }
    })
  })

  describe('history', () => {
    it('is paged, oldest first, and only of a session that the caller sees', async () => {
      let session = await made()
      for (let n = 0; n < 4; n += 1) session = await commit(stores, update(session, { name: `name ${n}` }, anIntent()))
      const first = await stores.queries.events(acme, session.id, { limit: 3, cursor: null })
      const second = await stores.queries.events(acme, session.id, { limit: 3, cursor: first!.nextCursor })
      expect([...first!.items, ...second!.items].map(({ type }) => type)).to.deep.equal([
        'created',
        ...Array.from({ length: 4 }, () => 'updated'),
      ])
      expect(second!.nextCursor).to.equal(null)
      expect(first!.items[0]).to.deep.include({ sessionId: session.id, generation: 1, actor: 'user:anna' })
      expect(await stores.queries.events(globex, session.id, firstPage)).to.equal(null)
      expect(await stores.queries.events({ orgId: ACME, ownerId: BEN }, session.id, firstPage)).to.equal(null)
    })

    it('has the commands of a session, oldest first', async () => {
      const { agentId } = await anAgent(stores, { id: 'history' })
      const session = await aSessionOn(stores, agentId)
      await commit(stores, right(stop(session, anIntent())))
      const first = await stores.queries.commandsOf(acme, session.id, { limit: 1, cursor: null })
      const second = await stores.queries.commandsOf(acme, session.id, { limit: 1, cursor: first!.nextCursor })
      expect(first!.items[0]).to.deep.include({ type: 'start_session', status: 'superseded', generation: 1, agentId })
      expect(second!.items[0]).to.deep.include({ type: 'stop_session', status: 'pending', generation: 2, attempts: 0 })
      expect(second!.nextCursor).to.equal(null)
      expect(await stores.queries.commandsOf(globex, session.id, firstPage)).to.equal(null)
    })

    it('has the commands of an org, newest first, by status, agent and session', async () => {
      const { agentId } = await anAgent(stores, { id: 'org-commands', orgId: GLOBEX })
      const session = await aSessionOn(stores, agentId, { orgId: GLOBEX })
      await commit(stores, right(stop(session, anIntent())))
      const other = await aSessionOn(stores, agentId, { orgId: GLOBEX })
      const list = async (filter: Parameters<typeof stores.queries.commands>[1], scope = globex) =>
        (await stores.queries.commands(scope, filter, firstPage)).items.map(({ sessionId, type }) => [sessionId, type])
      const all = [
        [other.id, 'start_session'],
        [session.id, 'stop_session'],
        [session.id, 'start_session'],
      ]
      expect(await list({})).to.deep.equal(all)
      expect(await list({ status: ['superseded'] })).to.deep.equal(all.slice(2))
      expect(await list({ session: [session.id] })).to.deep.equal(all.slice(1))
      expect(await list({ agent: ['org-commands'] })).to.deep.equal(all)
      expect(await list({ agent: ['another'] })).to.deep.equal([])
      expect(await list({ agent: ['org-commands'] }, acme as never)).to.deep.equal([])
      const page = await stores.queries.commands(globex, {}, { limit: 2, cursor: null })
      const next = await stores.queries.commands(globex, {}, { limit: 2, cursor: page.nextCursor })
      expect([page.items.length, next.items.length, next.nextCursor]).to.deep.equal([2, 1, null])
    })
  })

  describe('keep-alive', () => {
    const lastActivity = async (id: SessionId) => Number((await get(acme, id))?.lastActivityAt)

    it('moves the last activity, at most once a second', async () => {
      const session = await made()
      const start = Number(session.lastActivityAt)
      expect(await stores.queries.touch(acme, session.id, new Date(start + 500))).to.equal(true)
      expect(await lastActivity(session.id)).to.equal(start)
      expect(await stores.queries.touch(acme, session.id, new Date(start + 1_500))).to.equal(true)
      expect(await lastActivity(session.id)).to.equal(start + 1_500)
      expect(await stores.queries.touch(acme, session.id, new Date(start))).to.equal(true)
      expect(await lastActivity(session.id)).to.equal(start + 1_500)
    })

    it('is refused for what the caller does not see', async () => {
      const session = await made()
      const later = new Date(Date.now() + 10_000)
      expect(await stores.queries.touch(globex, session.id, later)).to.equal(false)
      expect(await stores.queries.touch({ orgId: ACME, ownerId: BEN }, session.id, later)).to.equal(false)
      expect(await stores.queries.touch(acme, ids.session(), later)).to.equal(false)
    })
  })
})
