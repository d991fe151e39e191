import { expect } from 'chai'
import { becoming } from '../../../adapters/postgres/identity.ts'
import type { Query } from '../../../adapters/postgres/pool.ts'
import type { OrgId, SessionId } from '../../../domain/ids.ts'
import { CALLED_BEFORE, explain, planned } from '../../support/explain.ts'
import { manySessions } from '../../support/many-rows.ts'
import { openStores, overheard, type Stores, storesOver } from '../../support/rows.ts'

const LARGE = 'large' as OrgId

/** Buffers of one session and all that goes with it: the rest is the same for one and for many. */
const EACH = 12
const AT_MOST = 60

describe('single sessions of a large org among many small ones', function () {
  this.timeout(60_000)
  let stores: Stores

  before(async () => {
    stores = await openStores()
    await manySessions(stores, 5_000, { org_id: `'large'` })
    await manySessions(stores, 1_000, { org_id: `'small-' || n` })
    await stores.ask('ANALYZE')
  })
  after(() => stores.close())

  for (const how of ['custom', 'generic'])
    for (const count of [1, 50])
      it(`cost what they are and not what the org has, ${count} at once, by a ${how} plan`, async () => {
        const rows = await stores.ask(`SELECT id FROM sessions WHERE org_id = 'large' LIMIT ${count}`)
        const sent: Query[] = []
        const { queries } = storesOver(overheard(stores.database, (asked) => sent.push(asked)))
        const wanted = rows.map(({ id }) => ({ id: id as SessionId, ownerId: null }))
        expect((await queries.get(LARGE, wanted)).map((view) => view?.id)).to.deep.equal(rows.map(({ id }) => id))
        const [statement] = sent
        if (statement === undefined) throw new Error('nothing was asked')
        const as = [becoming(LARGE, 'connection') ?? '', planned(how), CALLED_BEFORE]
        const { scanned, buffers, text } = await explain(stores.url, statement.text, statement.values ?? [], as)
        if (scanned.includes('sessions') || buffers > AT_MOST + EACH * count) expect.fail(`${buffers} buffers: ${text}`)
      })
})
