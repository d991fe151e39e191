import { expect } from 'chai'
import { becoming } from '../../../adapters/postgres/identity.ts'
import type { Query } from '../../../adapters/postgres/pool.ts'
import type { OrgId } from '../../../domain/ids.ts'
import type { SessionFilter, SessionSort } from '../../../domain/ports/sessions.ts'
import { explain, type Plan } from '../../support/explain.ts'
import { manySessions } from '../../support/many-rows.ts'
import { openStores, overheard, type Stores, storesOver } from '../../support/rows.ts'

/** Within what there is: a row a second. */
const LONG_AGO = new Date(Date.now() - 100_000_000)

/** Buffers of a page where an index has just these rows in just this order, and of what goes with them. */
const RIGHT_ORDER = 1_000
/** Where an index has the order or the rows, and every hundredth row of it is wanted. */
const TO_ENOUGH = 2_500
/** Where all that match are read, 1,000 of them, and sorted: five buffers each, and for each word four. */
const ALL_THAT_MATCH = 6_000

/** Each documented list, as an org asks for it: with values that few rows have, and with ones that many have. */
const lists: { readonly [list: string]: readonly [filter: SessionFilter, sort: SessionSort, buffers?: number] } = {
  'the newest': [{}, '-createdAt'],
  'the oldest': [{}, 'createdAt'],
  'by name': [{}, 'name'],
  'by name, backwards': [{}, '-name'],
  'of a user': [{ user: ['user-7'] }, '-createdAt'],
  'of a status that many have': [{ status: ['running'] }, '-createdAt'],
  'of a status that few have': [{ status: ['failed'] }, '-createdAt'],
  'of two statuses': [{ status: ['failed', 'stopped'] }, '-createdAt'],
  'of a template': [{ template: ['template-3'] }, '-createdAt'],
  'of an agent': [{ agent: ['agent-9'] }, '-createdAt'],
  'of a user, by name': [{ user: ['user-7'] }, 'name'],
  'of two users': [{ user: ['user-7', 'user-8'] }, '-createdAt'],
  'of a platform that all have': [{ platform: ['process'] }, '-createdAt'],
  'of a platform that nobody has': [{ platform: ['docker'] }, '-createdAt'],
  'of a template, the oldest': [{ template: ['template-3'] }, 'createdAt'],
  'of an agent, by name backwards': [{ agent: ['agent-9'] }, '-name', TO_ENOUGH],
  'with a word that few have': [{ q: '12345' }, '-createdAt'],
  'with a word that few have, by name': [{ q: '12345' }, 'name'],
  'with a word that all have': [{ q: 'session' }, '-createdAt', ALL_THAT_MATCH],
  'with a word that all have, by name': [{ q: 'sess' }, 'name', ALL_THAT_MATCH],
  'with two words': [{ q: 'session 123' }, '-createdAt', 3 * ALL_THAT_MATCH],
  'with a word that nobody has': [{ q: 'nothing' }, '-createdAt'],
  'that begin with what is no word': [{ q: '%' }, 'name'],
  'before a time': [{ createdBefore: LONG_AGO }, '-createdAt'],
  'after a time, the oldest': [{ createdAfter: LONG_AGO }, 'createdAt'],
  'with a label': [{ label: [['team', 'team-3']] }, '-createdAt'],
  'with a label, by name': [{ label: [['team', 'team-3']] }, 'name', ALL_THAT_MATCH],
  'with one of two labels': [{ label: [['team', 'team-3', 'team-4']] }, '-createdAt', TO_ENOUGH],
  'with a label that nobody has': [{ label: [['team', 'nobody']] }, '-createdAt'],
  'with a label that nobody has, or any of several': [{ label: [['team', 'nobody', 'nothing']] }, '-createdAt'],
  'of all that at once': [
    { user: ['user-7'], status: ['running'], label: [['team', 'team-7']], q: 'session', createdAfter: LONG_AGO },
    '-createdAt',
    ALL_THAT_MATCH,
  ],
}

describe('lists of sessions among 200,000 rows', function () {
  this.timeout(120_000)
  let stores: Stores

  before(async () => {
    stores = await openStores()
    const tombstones = { deleted_at: 'now()', status: `'deleting'`, desired_state: `'deleted'` }
    await manySessions(stores, 195_000, { org_id: `'large'` })
    await manySessions(stores, 300, { org_id: `'small'` })
    await manySessions(stores, 4_700, { org_id: `'small'`, ...tombstones })
    await stores.ask('ANALYZE')
  })
  after(() => stores.close())

  /** The plan of the very statement that a list sends. */
  const planOf = async (
    org: string,
    filter: SessionFilter,
    sort: SessionSort,
    cursor: string | null,
  ): Promise<Plan> => {
    const sent: Query[] = []
    const { queries } = storesOver(overheard(stores.database, (asked) => sent.push(asked)))
    await queries.list({ orgId: org as OrgId, ownerId: null }, filter, sort, { limit: 50, cursor })
    const [statement] = sent
    if (statement === undefined) throw new Error('the list asked nothing')
    // As it is sent: what row level security keeps from an index is no plan of whoever owns the table.
    return explain(stores.url, statement.text, statement.values ?? [], [becoming(org as OrgId, 'connection') ?? ''])
  }

  for (const org of ['large', 'small'])
    for (const [list, [filter, sort, atMost = RIGHT_ORDER]] of Object.entries(lists))
      it(`${list}, of a ${org} org, are found by an index`, async () => {
        const scope = { orgId: org as OrgId, ownerId: null }
        const { nextCursor } = await stores.queries.list(scope, filter, sort, { limit: 50, cursor: null })
        for (const cursor of nextCursor === null ? [null] : [null, nextCursor]) {
          const { indexes, scanned, buffers, text } = await planOf(org, filter, sort, cursor)
          const right = indexes.some((index) => index.startsWith('sessions_')) && !scanned.includes('sessions')
          if (!right || buffers > atMost) expect.fail(`${buffers} buffers: ${text}`)
        }
      })

  it('pages deep in the list cost what the first one does', async () => {
    const scope = { orgId: 'large' as OrgId, ownerId: null }
    let cursor: string | null = null
    for (let page = 0; page < 20; page += 1)
      cursor = (await stores.queries.list(scope, {}, '-createdAt', { limit: 500, cursor })).nextCursor
    const [first, deep] = [
      await planOf('large', {}, '-createdAt', null),
      await planOf('large', {}, '-createdAt', cursor),
    ]
    expect(deep.buffers).to.be.at.most(2 * first.buffers)
  })
})
