import { expect } from 'chai'
import type { OrgId } from '../../../domain/ids.ts'
import type { SessionSort } from '../../../domain/ports/sessions.ts'
import { manySessions } from '../../support/many-rows.ts'
import { openStores, type Stores } from '../../support/rows.ts'

const COUNT = 30_000
/** As many pages as a hundred thousand have in the largest ones. */
const PAGE = 150
const scope = { orgId: 'large' as OrgId, ownerId: null }

describe('very many sessions', function () {
  this.timeout(180_000)
  let stores: Stores

  before(async () => {
    stores = await openStores()
    await manySessions(stores, COUNT, {
      org_id: `'large'`,
      name: `CASE WHEN n % 3 = 0 THEN 'the same' ELSE 'session ' || n END`,
    })
    await stores.ask('ANALYZE')
  })
  after(() => stores.close())

  const idsWhere = async (condition: string): Promise<readonly string[]> =>
    (await stores.ask(`SELECT id FROM sessions WHERE org_id = 'large' AND ${condition}`)).map(({ id }) => id)

  for (const sort of ['-createdAt', 'name'] as const satisfies readonly SessionSort[])
    it(`are listed by ${sort} without missing one that stays, or showing one twice, while others come and go`, async () => {
      const before = new Set(await idsWhere('deleted_at IS NULL'))
      let done = false
      /** All the time, and everywhere in the list. */
      const others = (async () => {
        for (let round = 0; !done; round += 1) {
          const at = `now() - (n * ${1_000 + round} % ${COUNT}) * interval '1 second'`
          await manySessions(stores, 200, { org_id: `'large'`, created_at: at, name: `'new ' || n` })
          await stores.ask(
            `UPDATE sessions SET deleted_at = now(), status = 'deleting' WHERE id IN (
               SELECT id FROM sessions WHERE org_id = 'large' AND deleted_at IS NULL AND name <> 'the same' ORDER BY md5(id::text || $1) LIMIT 20)`,
            String(round),
          )
        }
      })()
      const seen = new Map<string, number>()
      let cursor: string | null = null
      do {
        const page = await stores.queries.list(scope, {}, sort, { limit: PAGE, cursor }, ['id'])
        for (const { id } of JSON.parse(page.items) as { id: string }[]) seen.set(id, (seen.get(id) ?? 0) + 1)
        cursor = page.nextCursor
      } while (cursor !== null)
      done = true
      await others
      const stayed = (await idsWhere('deleted_at IS NULL')).filter((id) => before.has(id))
      expect(stayed.length).to.be.within(COUNT / 2, before.size - 1)
      expect(stayed.filter((id) => !seen.has(id))).to.deep.equal([])
      expect([...seen.values()].filter((times) => times > 1)).to.deep.equal([])
    })
})
