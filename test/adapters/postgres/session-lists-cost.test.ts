import { expect } from 'chai'
import { becoming } from '../../../adapters/postgres/identity.ts'
import type { Query } from '../../../adapters/postgres/pool.ts'
import type { OrgId } from '../../../domain/ids.ts'
import type { SessionFilter, SessionSort } from '../../../domain/ports/sessions.ts'
import { explain, type Plan } from '../../support/explain.ts'
import { manySessions } from '../../support/many-rows.ts'
import { openStores, overheard, type Stores, storesOver } from '../../support/rows.ts'

/** Each documented list, as an org asks for it: with values that few rows have, and with ones that many have. */
const lists: { readonly [list: string]: readonly [SessionFilter, SessionSort] } = {
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
  'with a name that begins so': [{ q: 'session 123' }, 'name'],
  'with a name that begins so, the newest': [{ q: 'session 123' }, '-createdAt'],
  'with a label': [{ label: [['team', 'team-3']] }, '-createdAt'],
  'with a label that nobody has': [{ label: [['team', 'nobody']] }, '-createdAt'],
}

describe('lists of sessions among 50,000 rows', function () {
  this.timeout(60_000)
  let stores: Stores

  before(async () => {
    stores = await openStores()
    const tombstones = { deleted_at: 'now()', status: `'deleting'`, desired_state: `'deleted'` }
    await manySessions(stores, 45_000, { org_id: `'large'` })
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
    for (const [list, [filter, sort]] of Object.entries(lists))
      it(`${list}, of a ${org} org, are found by an index`, async () => {
        const scope = { orgId: org as OrgId, ownerId: null }
        const { nextCursor } = await stores.queries.list(scope, filter, sort, { limit: 50, cursor: null })
        for (const cursor of nextCursor === null ? [null] : [null, nextCursor]) {
          const { indexes, scanned, buffers, text } = await planOf(org, filter, sort, cursor)
          const right = indexes.some((index) => index.startsWith('sessions_')) && !scanned.includes('sessions')
          if (!right || buffers > 1_000) expect.fail(`${buffers} buffers: ${text}`)
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
