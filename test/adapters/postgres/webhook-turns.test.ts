/** Which deliveries get jobs next, among very many that one org has waiting. */
import { expect } from 'chai'
import { QUEUE } from '../../../adapters/postgres/webhook-turns.ts'
import type { OrgId, WebhookId } from '../../../domain/ids.ts'
import { explain, type Plan } from '../../support/explain.ts'
import { ACME, GLOBEX, ids, openStores, type Stores } from '../../support/rows.ts'

/** So many that whoever reads them all is noticed; with a million it costs the same, and the test a minute. */
const WAITING = 200_000
const WEBHOOKS = 20
/** No statement of the product's connections may take half a minute. */
const WRITTEN_AT_ONCE = 50_000
/** Of some 200 jobs of each of ten webhooks, or 100 of each of twenty. */
const JOBS_OF_AN_ORG = 2_000

describe('webhooks take turns', function () {
  this.timeout(240_000)
  let stores: Stores

  const aWebhook = async (orgId: OrgId): Promise<WebhookId> => {
    const id = ids.webhook()
    await stores.ask(
      `INSERT INTO webhooks (id, org_id, url, events, labels, secret) VALUES ($1, $2, 'https://example.com', '{*}', '{}', '')`,
      id,
      orgId,
    )
    return id
  }
  let rowsSoFar = 0
  /** Deliveries without jobs, dealt out to the webhooks, with ids that rise. */
  const waiting = async (orgId: OrgId, webhooks: readonly WebhookId[], count: number): Promise<void> => {
    for (let left = count; left > 0; left -= WRITTEN_AT_ONCE) {
      const some = Math.min(left, WRITTEN_AT_ONCE)
      await stores.ask(
        `INSERT INTO webhook_deliveries (id, org_id, webhook_id, event_id, session_id, type, body)
         SELECT lpad(to_hex($1 + n), 32, '0')::uuid, $2, ($3::uuid[])[1 + n % cardinality($3::uuid[])], $1 + n, gen_random_uuid(), 'running', '{}'
           FROM generate_series(1, $4::int) n`,
        rowsSoFar,
        orgId,
        webhooks,
        some,
      )
      rowsSoFar += some
    }
  }
  /** Jobs sent since, by org. */
  const sentBy = async (act: () => Promise<unknown>): Promise<{ readonly [org: string]: number }> => {
    const before = stores.sent.length
    await act()
    const counts: { [org: string]: number } = {}
    for (const { orgId } of stores.sent.slice(before)) counts[orgId] = (counts[orgId] ?? 0) + 1
    return counts
  }
  const queueAll = async (): Promise<void> => {
    while ((await stores.deliveries.queue()) > 0);
  }

  describe('of orgs', () => {
    beforeEach(async () => {
      stores = await openStores()
    })
    afterEach(() => stores.close())

    it('that have much waiting get the same share; one that has little gets all of it at once', async () => {
      const some = await Promise.all(Array.from({ length: 10 }, () => aWebhook(ACME)))
      await waiting(ACME, some, 5_000)
      await waiting(GLOBEX, [await aWebhook(GLOBEX)], 150)
      expect(await sentBy(() => stores.deliveries.queue())).to.deep.equal({ acme: 500, globex: 150 })
      expect(await sentBy(() => stores.deliveries.queue())).to.deep.equal({ acme: 1_000 })
    })

    it('of a webhook are the oldest first, those whose job was lost before all', async () => {
      await waiting(ACME, [await aWebhook(ACME)], 1_000)
      const all = (await stores.ask('SELECT id FROM webhook_deliveries ORDER BY id')).map(({ id }) => id)
      await queueAll()
      const sent = () => stores.sent.map(({ deliveryId }) => deliveryId).toSorted()
      expect(sent()).to.deep.equal(all.slice(0, 200))
      await stores.ask(`UPDATE webhook_deliveries SET job_until = now() WHERE id = ANY($1)`, all.slice(0, 5))
      await stores.ask(`UPDATE webhook_deliveries SET status = 'delivered' WHERE id = ANY($1)`, all.slice(5, 12))
      stores.sent.length = 0
      await queueAll()
      expect(sent()).to.deep.equal([...all.slice(0, 5), ...all.slice(200, 207)])
    })

    it('share the jobs of their org, so that many webhooks have no more than a few', async () => {
      const many = await Promise.all(Array.from({ length: 100 }, () => aWebhook(ACME)))
      await waiting(ACME, many, 10_000)
      await queueAll()
      expect(stores.sent).to.have.length(JOBS_OF_AN_ORG)
      expect(new Set(stores.sent.map(({ webhookId }) => webhookId)).size).to.equal(100)
    })

    it('that are disabled or deleted wait, and take nothing from others', async () => {
      const [active, disabled, deleted] = [await aWebhook(ACME), await aWebhook(ACME), await aWebhook(GLOBEX)]
      await waiting(ACME, [active, disabled], 1_000)
      await waiting(GLOBEX, [deleted], 500)
      await stores.ask(`UPDATE webhooks SET status = 'disabled' WHERE id = $1`, disabled)
      await stores.ask('DELETE FROM webhooks WHERE id = $1', deleted)
      expect(await sentBy(() => stores.deliveries.queue())).to.deep.equal({ acme: 200 })
      expect(new Set(stores.sent.map(({ webhookId }) => webhookId))).to.deep.equal(new Set([active]))
    })
  })

  describe(`among ${WAITING} deliveries of one org`, () => {
    before(async () => {
      stores = await openStores()
      // What is known of the table is what each test says.
      await stores.ask('ALTER TABLE webhook_deliveries SET (autovacuum_enabled = false)')
      await stores.ask('ANALYZE')
      const theirs = await Promise.all(Array.from({ length: WEBHOOKS }, () => aWebhook(ACME)))
      await waiting(ACME, theirs, WAITING)
    })
    after(() => stores.close())

    const asPlanned = (plan: Plan, most: number): void => {
      if (plan.buffers > most || plan.scanned.includes('webhook_deliveries'))
        expect.fail(`${plan.buffers} buffers: ${plan.text}`)
      expect(plan.indexes).to.include('webhook_deliveries_waiting')
    }
    /** Where there is no room it is run each second. Each job of its webhooks is looked at, and nothing that waits. */
    const staysCheap = async (): Promise<void> => {
      await queueAll()
      asPlanned(await explain(stores.url, QUEUE, []), 2 * JOBS_OF_AN_ORG)
      await waiting(GLOBEX, [await aWebhook(GLOBEX)], 1)
      const plan = await explain(stores.url, QUEUE, [])
      asPlanned(plan, 2 * JOBS_OF_AN_ORG)
      const [found] = await stores.ask(
        `SELECT count(*)::int AS n FROM webhook_deliveries WHERE org_id = 'globex' AND job_until IS NULL`,
      )
      expect(found.n).to.equal(0)
    }

    it('costs what the jobs of its webhooks do, before anything is known of what has come', staysCheap)

    it('costs the same when it is known that nearly all of it is of one org', async () => {
      await stores.ask('VACUUM ANALYZE webhook_deliveries')
      await staysCheap()
    })
  })
})
