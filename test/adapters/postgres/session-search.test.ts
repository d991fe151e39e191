import { expect } from 'chai'
import type { OrgId, SessionId, UserId } from '../../../domain/ids.ts'
import { BadCursorError, type SessionFilter, type SessionSort } from '../../../domain/ports/sessions.ts'
import { remove, update } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import { sessionFields } from '../../../src/api/session.ts'
import {
  aCreation,
  anAgent,
  anIntent,
  aSessionOn,
  commit,
  nowhere,
  openStores,
  right,
  type Stores,
} from '../../support/rows.ts'
import { readPage } from '../../support/written-page.ts'

const org = 'searched' as OrgId
const scope = { orgId: org, ownerId: null }
const firstPage = { limit: 50, cursor: null }

describe('sessions that are searched for', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
    await stores.ask('INSERT INTO orgs (id, name) VALUES ($1, $1)', org)
  })
  after(() => stores.close())

  const made = (overrides: Partial<Session>, orgId = org) => commit(stores, aCreation(nowhere, { orgId, ...overrides }))
  const found = async (filter: SessionFilter, sort: SessionSort = 'createdAt'): Promise<readonly string[]> =>
    readPage(await stores.queries.list(scope, filter, sort, firstPage)).items.map(({ name }) => name)

  describe('by words of their names', () => {
    const names = [
      'Payroll report',
      'report_for-payroll',
      'Überbau 100%',
      'data.science.lab',
      'a  a a',
      '🎉 party',
      '%',
    ]
    before(async () => {
      for (const [n, name] of names.entries()) await made({ name, createdAt: new Date(n * 1_000) })
      await made({ name: 'payroll of others' }, 'globex' as OrgId)
    })
    const searches: readonly (readonly [string, readonly string[]])[] = [
      ['payroll', ['Payroll report', 'report_for-payroll']],
      ['PAY', ['Payroll report', 'report_for-payroll']],
      ['report pay', ['Payroll report', 'report_for-payroll']],
      ['for-pay', ['report_for-payroll']],
      ['roll', []],
      ['über', ['Überbau 100%']],
      ['ÜBERBAU', ['Überbau 100%']],
      ['100%', ['Überbau 100%']],
      ['100_', []],
      ['science', ['data.science.lab']],
      ['lab data', ['data.science.lab']],
      ['a a', ['a  a a']],
      ['🎉', ['🎉 party']],
      ['%', ['%']],
      ['_', []],
      ['pay\\', []],
      ['nothing', []],
    ]
    for (const [q, expected] of searches)
      it(`${JSON.stringify(q)} finds ${expected.join(', ') || 'none'}`, async () => {
        expect((await found({ q })).toSorted()).to.deep.equal(expected.toSorted())
        expect((await stores.queries.summary(scope, { q })).total).to.equal(expected.length)
      })

    it('follow a new name, and go with the session', async () => {
      const session = await made({ name: 'before renaming' })
      const renamed = await commit(stores, update(session, { name: 'after' }, anIntent()))
      expect(await found({ q: 'renaming' })).to.deep.equal([])
      expect(await found({ q: 'after' })).to.deep.equal(['after'])
      await commit(stores, right(remove(renamed, anIntent())))
      expect(await found({ q: 'after' })).to.deep.equal([])
      const left = await stores.ask('SELECT FROM session_words WHERE session_id = $1', session.id)
      expect(left).to.have.length(0)
    })
  })

  describe('by labels', () => {
    before(async () => {
      await made({ name: 'web', labels: { team: 'web', tier: '1' } })
      await made({ name: 'api', labels: { team: 'api', tier: '1' } })
      await made({ name: 'ops', labels: { team: 'ops', tier: '2' } })
    })
    const cases: readonly (readonly [string, SessionFilter['label'], readonly string[]])[] = [
      ['of any of several values', [['team', 'web', 'ops']], ['ops', 'web']],
      [
        'of any of several values, and another label',
        [
          ['team', 'web', 'ops'],
          ['tier', '1'],
        ],
        ['web'],
      ],
      ['of values that nobody has', [['team', 'x', 'y']], []],
    ]
    for (const [what, label, expected] of cases)
      it(what, async () => {
        expect((await found({ ...(label && { label }) })).toSorted()).to.deep.equal(expected)
      })
  })

  describe('as they are written', () => {
    let id: SessionId
    before(async () => {
      const { agentId } = await anAgent(stores, { id: 'writer', orgId: org })
      const session = await aSessionOn(stores, agentId, {
        orgId: org,
        userId: 'writer' as UserId,
        name: 'every "field"\\ of it',
        labels: { b: 'ü\n"', a: '' },
        parameters: { secret: null, deep: { list: [1, 2.5, 'x', null] } },
        env: { A: '1' },
        idleTimeoutSeconds: 60,
      })
      id = session.id
      await stores.ask(
        `UPDATE sessions SET status = 'failed', status_reason = 'exited_early', status_message = 'it "ended"', region = 'eu',
                waiting_since = '2026-01-02T03:04:05.678999Z', status_deadline = '2026-01-02T03:04:05Z', started_at = '0999-01-01T00:00:00.1Z',
                endpoint = '{"url": "http://x", "host": "x", "port": 1, "protocol": "http", "ports": []}', namespace = 'n', pod_name = 'p',
                service_name = 's', container_id = 'c', node = 'm', image = 'i', image_digest = 'd', restarts = 3, exit_code = 1,
                exit_signal = 'SIGKILL', last_output = E'line\\r\\n\\ttab \\u2028', max_duration_s = 9, version = 9007199254740991
          WHERE id = $1`,
        id,
      )
    })

    it('are, field by field, what one of them alone is', async () => {
      const [view] = await stores.queries.get(scope.orgId, [{ id, ownerId: null }])
      const { items } = readPage(await stores.queries.list(scope, { user: ['writer'] }, '-createdAt', firstPage))
      expect(items).to.deep.equal([JSON.parse(JSON.stringify(view))])
      expect(Object.keys(items[0] ?? {})).to.deep.equal(Object.keys(view ?? {}))
    })

    for (const field of sessionFields)
      it(`have ${field} alone where that is asked for`, async () => {
        const [view] = await stores.queries.get(scope.orgId, [{ id, ownerId: null }])
        const page = await stores.queries.list(scope, { user: ['writer'] }, '-createdAt', firstPage, [field])
        const shown = JSON.parse(JSON.stringify(view))
        expect(JSON.parse(page.items)).to.deep.equal([{ [field]: shown[field] }])
      })
  })

  describe('cursors', () => {
    let cursor: string
    const user = ['pages', 'more']
    const created = new Date('2026-01-01T00:00:00Z')
    before(async () => {
      for (let n = 0; n < 3; n += 1) await made({ userId: 'pages' as UserId, labels: { n: String(n) } })
      const page = await stores.queries.list(scope, { user, createdAfter: created }, 'name', { limit: 1, cursor: null })
      cursor = page.nextCursor ?? ''
    })
    const list = (filter: SessionFilter, sort: SessionSort = 'name', of = scope) =>
      stores.queries.list(of, filter, sort, { limit: 2, cursor })

    it('go on with the same question, in whatever order its values stand and whatever is shown', async () => {
      const page = await list({ createdAfter: new Date(created), user: user.toReversed() })
      expect(readPage(page).items).to.have.length(2)
      const slim = await stores.queries.list(scope, { user, createdAfter: created }, 'name', { limit: 9, cursor }, [
        'id',
      ])
      expect(JSON.parse(slim.items)).to.have.length(2)
    })

    const others: { readonly [what: string]: () => Promise<unknown> } = {
      'of another org': () => list({ user, createdAfter: created }, 'name', { ...scope, orgId: 'globex' as OrgId }),
      'of another user’s own': () =>
        list({ user, createdAfter: created }, 'name', { orgId: org, ownerId: 'pages' as UserId } as never),
      'of another sort': () => list({ user, createdAfter: created }, '-name'),
      'of other values': () => list({ user: ['pages'], createdAfter: created }),
      'of another time': () => list({ user, createdAfter: new Date(1) }),
      'of one filter less': () => list({ user }),
      'of one filter more': () => list({ user, createdAfter: created, q: 'a' }),
    }
    for (const [what, ask] of Object.entries(others))
      it(`are refused by a list ${what}`, async () => {
        const error = await ask().then(
          () => null,
          (thrown: unknown) => thrown,
        )
        expect(error).to.be.an.instanceOf(BadCursorError)
      })
  })
})
